"""``linodmgr list --watch``: the jobs of sites, shown anew when the daemon says that something changed."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import click
import msgspec

from linodmgr.cli import client, jobs_shown
from linodmgr.cli.instants import utc_now
from linodmgr.cli.jobs_shown import Choice, Entry, Told
from linodmgr.cli.tables import live, plain, printable_rows
from linodmgr.protocol import Jobs, SiteJobs

SETTLED = 0.05  # seconds without news after which what has come is shown
AT_MOST = 20  # pieces of news that are gathered all the same before they are shown

Show = Callable[[list[Entry]], None]


def follow(control: Path, sites: tuple[str, ...], choice: Choice, as_json: bool) -> NoReturn:
    """Show the jobs until Ctrl-C. Raises DaemonNotRunning when the daemon ends, Refusal, LinodmgrError.

    No site is asked: of one without a worker it is shown what the daemon remembers.
    """
    known: dict[str, SiteJobs] = {}
    news = 0
    with _shower(as_json) as show, client.connect(control) as connection:
        answers = client.overhear(
            connection, control, Jobs(sites, watch=True), lambda: SETTLED if news else None
        )
        for answer in answers:
            if isinstance(answer, SiteJobs):
                first = answer.site not in known
                known[answer.site] = jobs_shown.clean(answer)
                news += 1
                if first or news < AT_MOST:
                    continue
            if news:
                now = utc_now()
                show(jobs_shown.chosen([Told(jobs, now) for jobs in known.values()], choice))
                news = 0
    raise client.gone(control)


@contextlib.contextmanager
def _shower(as_json: bool) -> Iterator[Show]:
    """Yield what shows the jobs once."""
    if as_json:
        yield _print_json
    elif sys.stdout.isatty():
        with live(jobs_shown.COLUMNS) as update:
            yield lambda entries: update(jobs_shown.rows(entries))
    else:
        yield _Tables().show


def _print_json(entries: list[Entry]) -> None:
    click.echo(msgspec.json.encode(jobs_shown.report(entries)))


class _Tables:
    """Tables in a pipe, an empty line between them."""

    def __init__(self) -> None:
        self._several = False

    def show(self, entries: list[Entry]) -> None:
        """Print one more."""
        lines = plain(jobs_shown.COLUMNS, printable_rows(jobs_shown.rows(entries)))
        click.echo(("\n" if self._several else "") + "\n".join(lines))
        self._several = True
