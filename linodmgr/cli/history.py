"""``linodmgr history``: what jobs did and how workers ended, as far as it is kept."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click
import msgspec

from linodmgr.cli import client, options
from linodmgr.cli.instants import in_words, moment
from linodmgr.cli.names import complete, complete_job
from linodmgr.cli.tables import Column, escaped, plain, printable_rows, render, took
from linodmgr.protocol import History, PastExit, PastRun, SiteHistory

SHOWN = 50  # rows
WORKER = "worker"  # in the place of a job
EXIT = "exit"  # in the place of an outcome
UNKNOWN = "-"
TROUBLE = ("failed", "missed", "unknown")  # outcomes
STYLES = {"ok": "green", "warned": "yellow", "missed": "yellow", "failed": "red", EXIT: "red"}

COLUMNS = (
    Column("WHEN"),
    Column("SITE"),
    Column("JOB"),
    Column("OUTCOME", style=lambda word: STYLES.get(word, "")),
    Column("DURATION", right=True, spare=1),
    Column("REASON"),
)


class Past(NamedTuple):
    """A run or an exit of a site."""

    site: str
    what: PastRun | PastExit

    @property
    def instant(self) -> str:
        """When it began, of an exit when it was; RFC 3339 UTC."""
        return self.what.started if isinstance(self.what, PastRun) else self.what.at

    @property
    def is_trouble(self) -> bool:
        """Whether somebody who looks for trouble wants to see it."""
        return isinstance(self.what, PastExit) or self.what.outcome in TROUBLE


@click.command("history")
@click.argument("site", required=False, default="", metavar="[SITE]", shell_complete=complete)
@click.argument("job", required=False, default="", metavar="[JOB]", shell_complete=complete_job)
@click.option("--failed", is_flag=True, help="Only failed and missed runs, and exits of workers.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=SHOWN,
    metavar="N",
    help=f"Only the last N; 0: all that are kept; default: {SHOWN}.",
)
@click.option("--traces", is_flag=True, help="Show tracebacks, and the last lines of workers, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(
    context: click.Context, site: str, job: str, failed: bool, limit: int, traces: bool, as_json: bool
) -> None:
    """Show past runs of jobs and ends of workers, the newest last.

    JOB is a name, or an id of 'linodmgr list --json'; of one job only runs are shown.
    """
    # Which of them are trouble is not for the daemon to tell: then all are asked for.
    request = History((site,) if site else (), job, 0 if failed else limit)
    answers = client.ask(options.places(context).control, request, within=None)
    found = merged([answer for answer in answers if isinstance(answer, SiteHistory)], runs_only=bool(job))
    if failed:
        found = [past for past in found if past.is_trouble]
    found = found[-limit:] if limit else found
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report(found)), indent=2))
    elif traces:
        click.echo("\n".join(with_traces(found)))
    else:
        render(COLUMNS, [row(past) for past in found])


def merged(sites: Sequence[SiteHistory], runs_only: bool = False) -> list[Past]:
    """Return the past of all ``sites`` in the order in which it happened."""
    found = [Past(one.site, what) for one in sites for what in one.runs]
    if not runs_only:
        found += [Past(one.site, what) for one in sites for what in one.exits]
    found.sort(key=lambda past: moment(past.instant))
    return found


def report(found: Sequence[Past]) -> dict[str, list[dict[str, object]]]:
    """Return what ``history --json`` prints."""
    shown: dict[str, list[dict[str, object]]] = {"runs": [], "exits": []}
    for past in found:
        kind = "runs" if isinstance(past.what, PastRun) else "exits"
        shown[kind].append({"site": past.site, **msgspec.structs.asdict(past.what)})
    return shown


def row(past: Past) -> list[str]:
    """Return what the table shows of a run or an exit."""
    what = past.what
    when = in_words(past.instant)
    if isinstance(what, PastExit):
        uptime = UNKNOWN if what.uptime is None else took(what.uptime)
        return [when, past.site, WORKER, EXIT, uptime, what.cause]
    duration = UNKNOWN if what.duration is None else took(what.duration)
    return [when, past.site, what.name, what.outcome, duration, reason(what)]


def reason(run: PastRun) -> str:
    """Return what is to be said of a run in words.

    >>> reason(PastRun("1", "f", "2026-11-23T19:00:00Z", "failed", error="ValueError: x", asked=True))
    'ValueError: x (asked for)'
    """
    remarks = [word for word, is_so in (("caught up", run.caught_up), ("asked for", run.asked)) if is_so]
    if run.outcome == "unknown" and not run.error:
        remarks.insert(0, "nobody saw its end")
    if not run.error or not remarks:
        return run.error or ", ".join(remarks)
    return f"{run.error} ({', '.join(remarks)})"


def with_traces(found: Sequence[Past]) -> Iterator[str]:
    """Yield the lines of the table, below each row what was printed."""
    heading, *lines = plain(COLUMNS, printable_rows([row(past) for past in found]))
    yield heading
    for past, line in zip(found, lines, strict=True):
        yield line
        what = past.what
        said = what.trace.splitlines() if isinstance(what, PastRun) else what.output
        yield from (f"    {escaped(text)}" for text in said)
