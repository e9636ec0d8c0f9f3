"""``linodmgr list``: the jobs of all sites in one table, in JSON, or in the well-known text of one site."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import msgspec

from linodmgr import config, launch, places
from linodmgr.cli import client, jobs_shown, options
from linodmgr.cli.gather import Ask, Gatherer, Outcome, Unanswered
from linodmgr.cli.tables import render
from linodmgr.core.names import choose
from linodmgr.core.site import Site
from linodmgr.errors import ConfigError, DaemonNotRunning, LinodmgrError, UsageError
from linodmgr.identity import Caller
from linodmgr.listmode import NoListing
from linodmgr.places import Places
from linodmgr.protocol import Listing, ListJobs, Snapshot, Status

FAILED = 1
TIME_LIMIT = 60.0  # seconds; a site with real Lino needs 3 of them, and longer on a busy machine
DAEMON_SLACK = 30.0  # seconds that the daemon may need on top: others ask it, too


@click.command("list")
@options.site_names
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
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
    type=click.FloatRange(min=0, min_open=True),
    default=TIME_LIMIT,
    metavar="SECONDS",
    help=f"How long to wait for each site; default: {TIME_LIMIT:g}.",
)
@click.pass_context
def command(
    context: click.Context, sites: tuple[str, ...], as_json: bool, plain: bool, at_once: int, timeout: float
) -> None:
    """Show the scheduled jobs of sites. No daemon is needed.

    Each site is asked with its own Python, as its own user. One that cannot be asked is shown with
    the reason; the command then ends with 1.
    """
    if as_json and plain:
        raise UsageError("cannot print both --json and --plain: leave one out")
    place = options.places(context)
    configured = configured_sites(places.config_path(context.obj["config"]), place.control)
    names = set(choose((site.name for site in configured), sites))
    chosen = [site for site in configured if site.name in names]
    gatherer = Gatherer(
        runner_dir=launch.lay_out(runner_place(place)),
        ask=daemon_asker(place.control, timeout),
        time_limit=timeout,
        at_once=at_once,
    )
    with progress(len(chosen)) as tell:
        outcomes = gatherer.gather(chosen, tell)
    if as_json:
        shown = jobs_shown.report(outcomes)
        click.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2))
    elif plain:
        print_plain(outcomes)
    else:
        render(jobs_shown.COLUMNS, jobs_shown.rows(outcomes))
    if any(isinstance(outcome, Unanswered) for outcome in outcomes):
        context.exit(FAILED)


def configured_sites(path: Path, control: Path) -> list[Site]:
    """Return all sites. Who is not root sees those of a file of root's as root does.

    If we may not read the file but talk to its daemon, that one tells the names. Raises ConfigError.
    """
    if not places.is_above_us(path):
        return list(config.load(path).sites.values())
    try:
        return list(config.load(path, host=config.Host(caller=Caller(0, 0))).sites.values())
    except ConfigError:
        with suppress(LinodmgrError):
            return [
                Site(name=site.name, directory=site.directory)
                for answer in client.ask(control, Status())
                if isinstance(answer, Snapshot)
                for site in answer.sites
            ]
        raise


def runner_place(of: Places) -> Path:
    """Return a directory of ours for the runner: the daemon's, or our own where that is somebody else's."""
    ours = os.geteuid()
    for place in (of.runtime_dir, places.default_places().runtime_dir):
        try:
            place.mkdir(mode=0o755 if ours == 0 else 0o700, parents=True, exist_ok=True)
            if place.stat().st_uid == ours:
                return place
        except OSError:
            continue
    raise LinodmgrError(f"cannot use {of.runtime_dir}: it must be a directory of our own")


def daemon_asker(control: Path, time_limit: float) -> Ask:
    """Return what asks the daemon for the jobs of a site that runs as another user than ours."""

    def ask(site: Site) -> str:
        try:
            answers = client.ask(control, ListJobs(site.name, time_limit), time_limit + DAEMON_SLACK)
            for answer in answers:
                if isinstance(answer, Listing):
                    if answer.reason:
                        raise NoListing(answer.reason)
                    return answer.text
        except (DaemonNotRunning, client.NoPermission) as error:
            who = site.identity.user if site.identity else "another user"
            raise NoListing(f"runs as {who}: only root or the daemon may list it") from error
        raise NoListing("the daemon did not tell its jobs")

    return ask


@contextmanager
def progress(total: int) -> Iterator[Callable[[Site], None]]:
    """Yield what to tell of each site that answered; shows how far it is if a person looks on."""
    if not sys.stderr.isatty():
        yield lambda _site: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    parts = (TextColumn("asking sites"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda _site: bar.advance(task)


def print_plain(outcomes: Sequence[Outcome]) -> None:
    """Print the well-known text: of several sites under their names, of one without a heading."""
    several = len(outcomes) != 1
    for number, outcome in enumerate(outcomes):
        if several and number:
            click.echo()
        if several:
            click.echo(f"{outcome.site.name}:")
        if isinstance(outcome, Unanswered):
            click.echo(f"linodmgr: cannot list {outcome.site.name}: {outcome.reason}", err=True)
        else:
            click.echo("\n".join(jobs_shown.plain(outcome.listed)))
