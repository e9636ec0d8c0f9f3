"""Waits for a command to be done, shows how it goes, and says what happened to each site."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from linodmgr.cli.tables import escaped, printable
from linodmgr.core.shown import waiting
from linodmgr.protocol import Answer, Done, Progress, Result

if TYPE_CHECKING:
    from rich.status import Status
    from rich.text import Text

FAILED = 1
ON_THEIR_WAY = ("QUEUED", "STARTING", "STOPPING")


def follow(answers: Iterable[Answer], doing: str) -> Done:
    """Return the last of ``answers``; until then show how it goes.

    On a terminal that is a line that goes on by itself; else for what a stop waits is said once.
    """
    course = Course(doing)
    with contextlib.ExitStack() as stack:
        shown: Status | None = None
        for answer in answers:
            if isinstance(answer, Done):
                return answer
            if not isinstance(answer, Progress):
                continue
            news = course.hear(answer)
            if not sys.stderr.isatty():
                for line in news:
                    click.echo(printable(line), err=True)
            elif shown is None and answer.state in ON_THEIR_WAY:
                shown = stack.enter_context(spinner(doing))
                shown.update(course)
    return Done()


@dataclass(frozen=True)
class Wait:
    """A stop that lets a process end by itself: since the monotonic instant ``since``, ``limit`` seconds."""

    what: str  # jobs, in words; empty: none is known
    since: float
    limit: float

    def words(self, now: float) -> str:
        """Return it in words."""
        return waiting(self.what, now - self.since, self.limit)


class Course:
    """How far a command is; what a stop waits for is counted on while nothing is heard."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._states: dict[str, str] = {}
        self._waits: dict[str, Wait] = {}

    def hear(self, progress: Progress) -> list[str]:
        """Take in where a site is; return what is new of jobs that are waited for, in lines."""
        now, site = time.monotonic(), progress.site
        self._states[site] = progress.state
        old, new = self._waits.pop(site, None), None
        if progress.waited is not None and progress.limit is not None:
            new = self._waits[site] = Wait(progress.waits_for, now - progress.waited, progress.limit)
        if (old.what if old else "") == (new.what if new else ""):
            return []
        lines = []
        if old and old.what:
            waited = now - old.since if progress.waited is None else progress.waited
            lines.append(f"{site}: waited {waited:.0f} s for {old.what}")
        return [*lines, f"{site}: {new.words(now)}"] if new and new.what else lines

    def line(self) -> str:
        """Return how far it is now, in one line."""
        return summary(self._doing, self._states, self._waits, time.monotonic())

    def __rich__(self) -> "Text":
        from rich.text import Text

        return Text(printable(self.line()))  # no markup: a job may have any name


def summary(
    doing: str, states: Mapping[str, str], waits: Mapping[str, Wait] | None = None, now: float = 0.0
) -> str:
    """Return how far it is, in one line.

    >>> summary("starting", {"noi": "RUNNING", "voga": "STARTING", "amici": "RUNNING"})
    'starting: 2 RUNNING, 1 STARTING'
    >>> summary("starting", {"noi": "STARTING"})
    'starting: noi STARTING'
    >>> summary("stopping", {"noi": "STOPPING"}, {"noi": Wait("checkdata", 100.0, 30.0)}, 112.0)
    'stopping: noi waiting for checkdata, 12 s of 30'
    """
    counts = Counter(list(states.values())).most_common()  # another thread may go on meanwhile
    waiting_sites = sorted((waits or {}).items(), key=lambda one: not one[1].what)
    if not waiting_sites:
        if len(states) == 1:
            return f"{doing}: " + " ".join(*states.items())
        return f"{doing}: " + ", ".join(f"{count} {state}" for state, count in counts)
    site, wait = waiting_sites[0]
    first = f"{site} {wait.words(now)}"
    if len(states) == 1:
        return f"{doing}: {first}"
    more = f" (+{len(waiting_sites) - 1} more)" if len(waiting_sites) > 1 else ""
    return f"{doing}: " + ", ".join(f"{count} {state}" for state, count in counts) + f"; {first}{more}"


@contextlib.contextmanager
def spinner(doing: str) -> Iterator["Status"]:
    """Show on the terminal of stderr that something goes on."""
    from rich.console import Console

    with Console(stderr=True, highlight=False).status(doing, spinner="line") as status:
        yield status


def tell(done: Done, waited: bool = True) -> int:
    """Print what became of each site, those not as asked last; return the exit code.

    Nobody expects what is still on its way to have arrived if we have not ``waited``.
    """
    for line in done.lines:
        click.echo(printable(line))
    failures = [result for result in done.results if not _is_fine(result, waited)]
    for result in done.results:
        if _is_fine(result, waited):
            click.echo(line_of(result, click.style(result.state, fg="green")))
    for result in failures:
        click.echo(line_of(result, click.style(result.state, fg="red")))
        for line in result.output:
            click.echo(f"    {escaped(line)}")
    return FAILED if failures else 0


def _is_fine(result: Result, waited: bool) -> bool:
    return result.ok or (not waited and result.state in ON_THEIR_WAY)


def line_of(result: Result, state: str) -> str:
    """Return what is said of one site; ``state`` is its word, perhaps in a colour.

    >>> line_of(Result("noi", "RUNNING", ok=True, pid=123), "RUNNING")
    'noi: RUNNING (pid 123)'
    >>> line_of(Result("noi", "IDLE", ok=True, reason="no jobs"), "IDLE")
    'noi: IDLE: no jobs'
    """
    line = f"{result.site}: {state}"
    if result.pid is not None:
        line += f" (pid {result.pid})"
    return f"{line}: {printable(result.reason)}" if result.reason else line
