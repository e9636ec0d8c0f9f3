"""``linodmgr hold``: keeps sites stopped while a command runs, and ends as the command ends."""

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from linodmgr.birth import born
from linodmgr.cli import client, names, options, telling, waiting
from linodmgr.cli.tables import printable
from linodmgr.errors import LinodmgrError, UsageError
from linodmgr.protocol import Hold, Release

COMMAND_LIMIT = 1000  # characters that are told to the daemon
BY_SIGNAL = 128  # added to its number by shells
SEPARATOR = "--"
STOPPED = "STOPPED"
Child = subprocess.Popen[bytes]
PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
FOR_THE_COMMAND = (signal.SIGINT, signal.SIGQUIT, *PASSED_ON)


class NotRun(LinodmgrError):
    """The command was not run."""

    exit_code = 125  # what env, timeout and the like say when they fail themselves


class NotExecutable(NotRun):
    """It cannot be run."""

    exit_code = waiting.NOT_RUN


class NotFound(NotRun):
    """There is no such command."""

    exit_code = waiting.NOT_FOUND


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return sites that the shell may offer, as long as no command has begun."""
    given = context.params.get(parameter.name or "") or ()
    return [] if SEPARATOR in given else names.complete(context, parameter, incomplete)


@click.command(
    "hold",
    short_help="Keep sites stopped while a command runs.",
    context_settings={"allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, metavar="SITE... -- COMMAND...", shell_complete=_complete)
@click.pass_context
def command(context: click.Context, words: tuple[str, ...]) -> None:
    """Stop sites, run COMMAND (a backup, a migration), start again what ran before.

    Running jobs may end first. However COMMAND ends, and even if the terminal, this command or the daemon end
    before it, no worker runs until it has ended; 'linodmgr release SITE' starts them by hand. With one
    site, -- may be left out.

    Ends as COMMAND ends; with 125 if it was not run, 127 if it is not found, 126 if it cannot be executed.
    """
    sites, words_of_command = split(words)
    _look_for(words_of_command[0])
    control = options.places(context).control
    with _child(words_of_command) as (child, go):
        held = _hold(control, sites, child, words_of_command)
        started = born(child.pid)
        with _signals_for(child):
            with contextlib.suppress(BrokenPipeError):  # a signal has ended it already
                os.write(go, b"\n")
            code = _end_of(child)
    _wait_for_sites(control, Release(tuple(held), pid=child.pid, started=started))
    context.exit(code if code >= 0 else BY_SIGNAL - code)


def split(words: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the sites and the command that are meant. Raises UsageError.

    >>> split(["noi", "voga", "--", "pg_dump", "--", "x"])
    (('noi', 'voga'), ['pg_dump', '--', 'x'])
    >>> split(["noi", "pg_dump", "-Fc"])
    (('noi',), ['pg_dump', '-Fc'])
    """
    place = words.index(SEPARATOR) if SEPARATOR in words else -1
    sites, command_words = (words[:place], words[place + 1 :]) if place >= 0 else (words[:1], words[1:])
    if not sites or not any(command_words[:1]):  # an empty name is none
        raise UsageError("cannot hold sites: say SITE... -- COMMAND...")
    return tuple(sites), list(command_words)


def _look_for(program: str) -> None:
    """Raise NotRun for what can never be run, before any worker is stopped for it."""
    if shutil.which(program) is None:
        if os.path.dirname(program) and os.path.exists(program):
            raise NotExecutable(f"cannot run {program!r}: it is not executable")
        raise NotFound(f"cannot run {program!r}: no such command")


@contextlib.contextmanager
def _child(words: list[str]) -> Iterator[tuple[Child, int]]:
    """Yield a process that becomes the command when it is told to through the descriptor; else it ends."""
    reader, go = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-IS", waiting.__file__, str(reader), *words], pass_fds=(reader,)
        )
    except OSError as error:
        os.close(go)
        raise NotRun(f"cannot run {words[0]!r}: {error.strerror}") from error
    finally:
        os.close(reader)
    try:
        yield child, go
    finally:
        os.close(go)
        child.wait()


def _hold(control: Path, sites: tuple[str, ...], child: Child, words: list[str]) -> list[str]:
    """Return the sites that are stopped now. Raises NotRun if some could not be."""
    told = shlex.join(words).encode(errors="backslashreplace").decode()[:COMMAND_LIMIT]
    request = Hold(sites, pid=child.pid, started=born(child.pid), command=told)
    try:
        done = telling.follow(client.ask(control, request, within=None), "stopping")
    except LinodmgrError as error:
        raise NotRun(f"{error}: {words[0]!r} was not run") from error
    if failed := [result for result in done.results if not result.ok or result.state != STOPPED]:
        for result in failed:
            click.echo(telling.line_of(result, result.state), err=True)
        raise NotRun(f"cannot hold {failed[0].site}: it is not stopped: {words[0]!r} was not run")
    return [result.site for result in done.results]


@contextlib.contextmanager
def _signals_for(child: Child) -> Iterator[None]:
    """Leave Ctrl-C, which the terminal sends to both, to the command; pass on what is sent to us alone."""

    def pass_on(number: int, _frame: object) -> None:
        child.send_signal(number)

    before = {number: signal.getsignal(number) for number in FOR_THE_COMMAND}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, pass_on if number in PASSED_ON else signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_of(child: Child) -> int:
    """Return how the command ended.

    Not by waiting for it alone: a signal that comes just before that would be heard only after its end.
    """
    heard, hears = os.pipe()
    os.set_blocking(hears, False)
    before = signal.set_wakeup_fd(hears, warn_on_full_buffer=False)
    pidfd = os.pidfd_open(child.pid)
    try:
        while pidfd not in select.select([pidfd, heard], [], [])[0]:
            os.read(heard, 4096)
    finally:
        signal.set_wakeup_fd(before)
        for descriptor in (heard, hears, pidfd):
            os.close(descriptor)
    return child.wait()


def _wait_for_sites(control: Path, request: Release) -> None:
    """Wait until what ran before runs again; standard output belongs to the command."""
    try:
        done = telling.follow(client.ask(control, request, within=None), "starting")
    except LinodmgrError as error:
        click.echo(f"linodmgr: cannot see whether the sites start again: {printable(str(error))}", err=True)
        return
    for result in done.results:
        if not result.ok or sys.stderr.isatty():
            click.echo(telling.line_of(result, result.state), err=True)
