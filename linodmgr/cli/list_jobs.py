"""``linodmgr list``: what is known of the jobs of all sites. Live ones cost no process and few imports."""

import os
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from click.core import ParameterSource

from linodmgr.cli import client, jobs_shown, options
from linodmgr.cli.instants import utc_now
from linodmgr.cli.jobs_shown import Choice, Told
from linodmgr.cli.tables import render
from linodmgr.errors import LinodmgrError, UsageError
from linodmgr.places import config_path
from linodmgr.protocol import Jobs, SiteJobs

FAILED = 1
TIME_LIMIT = 60.0  # seconds; a site with real Lino needs 3 of them, and longer on a busy machine
FAILING = (jobs_shown.FAILED, jobs_shown.MISSED, jobs_shown.DISABLED)
TARDY = (jobs_shown.LATE,)
ACTIVE = (jobs_shown.RUNNING, jobs_shown.LONG)
LONGEST = 86400.0  # seconds
ASKING = ("at_once", "timeout")  # options for sites that are asked


def _a_number(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if value != value:  # which no range leaves out
        raise click.BadParameter("nan is no number of seconds")
    return value


@click.command("list")
@options.site_names
@click.option("--failed", is_flag=True, help="Only jobs that are FAILED, MISSED or DISABLED.")
@click.option("--late", is_flag=True, help="Only jobs that should have begun.")
@click.option("--running", is_flag=True, help="Only jobs that run now.")
@click.option(
    "--sort",
    type=click.Choice(list(jobs_shown.ORDERS)),
    help="By next run (soonest first), last run (newest first) or duration (longest first).",
)
@click.option("--watch", is_flag=True, help="Go on, and show it anew when something changes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; with --watch one a line.")
@click.option("--plain", is_flag=True, help="Print what 'manage.py linod --list' prints.")
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    metavar="N",
    help="How many sites to ask side by side; default: the number of CPUs.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=LONGEST),
    callback=_a_number,
    default=TIME_LIMIT,
    metavar="SECONDS",
    help=f"How long to wait for each site that is asked; default: {TIME_LIMIT:g}.",
)
@click.pass_context
def command(
    context: click.Context,
    sites: tuple[str, ...],
    sort: str | None,
    watch: bool,
    as_json: bool,
    plain: bool,
    at_once: int,
    timeout: float,
    failed: bool,
    late: bool,
    running: bool,
) -> None:
    """Show the scheduled jobs of sites.

    The daemon knows those of running workers. Another site, or any without a daemon, is asked with its
    own Python, as its own user. One that cannot be asked is shown with the reason; the command then
    ends with 1.
    """
    wanted = (*FAILING * failed, *TARDY * late, *ACTIVE * running)
    choice = Choice(frozenset(wanted), sort or "")
    _refuse_what_does_not_fit(context, choice, watch, as_json, plain)
    if watch:
        from linodmgr.cli import list_watch

        list_watch.follow(options.places(context).control, sites, choice, as_json)
    told = tell(context, sites, timeout, at_once)
    if plain:
        from linodmgr.cli import jobs_plain

        jobs_plain.print_all(told)
    elif as_json:
        report = jobs_shown.report(jobs_shown.chosen(told, choice))
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        render(jobs_shown.COLUMNS, jobs_shown.rows(jobs_shown.chosen(told, choice)))
    if any(one.problem for one in told):
        context.exit(FAILED)


def _refuse_what_does_not_fit(
    context: click.Context, choice: Choice, watch: bool, as_json: bool, plain: bool
) -> None:
    """Raise UsageError for options that mean nothing together."""
    if as_json and plain:
        raise UsageError("cannot print both --json and --plain: leave one out")
    if plain and (watch or choice.states or choice.sort):
        raise UsageError("cannot filter, sort or watch the text of --plain: leave --plain out")
    if watch and any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ASKING):
        raise UsageError("cannot ask sites while watching: leave out --at-once and --timeout, or --watch")


def tell(context: click.Context, names: Sequence[str], time_limit: float, at_once: int) -> list[Told]:
    """Return what is known of the jobs of sites: by the daemon, else by the sites themselves."""
    place = options.places(context)
    known = heard(place.control, tuple(names))
    now = utc_now()
    silent = None if known is None else [name for name, jobs in known.items() if not jobs.live]
    if known is not None and not silent:
        return [Told(jobs_shown.clean(jobs), now) for jobs in known.values()]
    from linodmgr.cli import list_mode

    path = config_path(context.obj["config"])
    asked = list_mode.tell(place, path, names if silent is None else silent, known, time_limit, at_once)
    if known is None:
        return asked
    by_name = {told.site: told for told in asked}
    return [by_name.get(name) or Told(jobs_shown.clean(jobs), now) for name, jobs in known.items()]


def heard(control: Path, names: tuple[str, ...]) -> dict[str, SiteJobs] | None:
    """Return what the daemon knows of each site; None if it knows nothing of jobs, for whatever reason.

    It may not run, be of an earlier version, or not know a site that the configuration names since today.
    """
    try:
        answers = client.ask(control, Jobs(names))
        return {answer.site: answer for answer in answers if isinstance(answer, SiteJobs)}
    except LinodmgrError:
        return None
