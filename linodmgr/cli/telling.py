"""Waits for a command to be done, shows how it goes, and says what happened to each site."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from linodmgr.cli.tables import escaped, printable
from linodmgr.protocol import Answer, Done, Progress, Result

if TYPE_CHECKING:
    from rich.status import Status

FAILED = 1
ON_THEIR_WAY = ("QUEUED", "STARTING", "STOPPING")


def follow(answers: Iterable[Answer], doing: str) -> Done:
    """Return the last of ``answers``; until then show on a terminal how it goes."""
    states: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        shown: Status | None = None
        for answer in answers:
            if isinstance(answer, Done):
                return answer
            if not isinstance(answer, Progress):
                continue
            states[answer.site] = answer.state
            if shown is None and answer.state in ON_THEIR_WAY and sys.stderr.isatty():
                shown = stack.enter_context(spinner(doing))
            if shown is not None:
                shown.update(summary(doing, states))
    return Done()


def summary(doing: str, states: dict[str, str]) -> str:
    """Return how far it is, in one line.

    >>> summary("starting", {"noi": "RUNNING", "voga": "STARTING", "amici": "RUNNING"})
    'starting: 2 RUNNING, 1 STARTING'
    >>> summary("starting", {"noi": "STARTING"})
    'starting: noi STARTING'
    """
    if len(states) == 1:
        return f"{doing}: " + " ".join(*states.items())
    return f"{doing}: " + ", ".join(
        f"{count} {state}" for state, count in Counter(states.values()).most_common()
    )


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
