"""Waits for a command to be done, shows how it goes, and says what happened to each site."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from linodmgr.cli.tables import printable
from linodmgr.protocol import Answer, Done, Progress, Result

if TYPE_CHECKING:
    from rich.status import Status

FAILED = 1


def follow(answers: Iterable[Answer], doing: str) -> Done:
    """Return the last of ``answers``; until then show on a terminal how it goes."""
    states: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        spinner: Status | None = None
        for answer in answers:
            if isinstance(answer, Done):
                return answer
            if not isinstance(answer, Progress):
                continue
            states[answer.site] = answer.state
            if spinner is None and sys.stderr.isatty():
                spinner = stack.enter_context(_spinner(doing))
            if spinner is not None:
                spinner.update(summary(doing, states))
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
def _spinner(doing: str) -> Iterator["Status"]:
    from rich.console import Console

    with Console(stderr=True, highlight=False).status(doing, spinner="line") as status:
        yield status


def tell(done: Done) -> int:
    """Print what became of each site, those not as asked last; return the exit code."""
    for line in done.lines:
        click.echo(printable(line))
    for result in sorted(done.results, key=lambda result: not result.ok):
        click.echo(_line(result))
        for line in () if result.ok else result.output:
            click.echo(f"    {printable(line)}")
    return 0 if all(result.ok for result in done.results) else FAILED


def _line(result: Result) -> str:
    state = click.style(result.state, fg="green" if result.ok else "red")
    reason = printable(result.reason)
    if result.ok:
        return f"{result.site}: {state} ({reason})" if reason else f"{result.site}: {state}"
    return f"{result.site}: {state}: {reason}" if reason else f"{result.site}: {state}"
