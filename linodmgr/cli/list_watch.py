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
    with _shower(as_json) as show:
        picture = _Picture(choice, show)
        while True:
            try:
                _hear(control, Jobs(sites, watch=True), picture)
            except client.DaemonGone:
                picture.show()
                raise
            except client.Upgraded:  # the next daemon goes on
                continue
            raise client.gone(control)


def _hear(control: Path, request: Jobs, picture: "_Picture") -> None:
    with client.connect(control) as connection:
        for answer in client.overhear(connection, control, request, picture.pause):
            if isinstance(answer, SiteJobs):
                picture.add(answer)
            else:
                picture.show()


class _Picture:
    """What has been heard, and whether it has been shown."""

    def __init__(self, choice: Choice, show: Show) -> None:
        self._choice = choice
        self._show = show
        self._known: dict[str, SiteJobs] = {}
        self._news = 0  # pieces that have not been shown

    def pause(self) -> float | None:
        """Return after how many seconds without news to show what there is."""
        return SETTLED if self._news else None

    def add(self, jobs: SiteJobs) -> None:
        """Take what is known of a site; is shown later, except when there is always something new."""
        is_first = jobs.site not in self._known
        self._known[jobs.site] = jobs_shown.clean(jobs)
        self._news += 1
        if self._news >= AT_MOST and not is_first:
            self.show()

    def show(self) -> None:
        """Show what has not been shown."""
        if self._news:
            self._news = 0
            now = utc_now()
            self._show(jobs_shown.chosen([Told(jobs, now) for jobs in self._known.values()], self._choice))


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
