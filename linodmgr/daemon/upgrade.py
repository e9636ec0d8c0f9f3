"""A running daemon becomes the one that is installed now: tried in a child, then executed in place."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from linodmgr import __version__, launch
from linodmgr.config import load
from linodmgr.daemon import handover
from linodmgr.daemon.children import end
from linodmgr.daemon.ground import prepare
from linodmgr.daemon.handover import Handover
from linodmgr.errors import ConfigError, LinodmgrError

TRY = "--try"
TAKE_OVER = "--take-over"
TRY_WITHIN = 10.0  # seconds
OURS = "linodmgr: "  # before each line that tells what is wrong
WORDS_READ = 4096  # bytes of what the new one says, the last ones
SHOWN = 500  # characters of its last line


def command(*more: str) -> list[str]:
    """Return what executes the daemon as this one was, with ``more`` arguments."""
    arguments = sys.orig_argv[1:]
    if TAKE_OVER in arguments:
        place = arguments.index(TAKE_OVER)
        del arguments[place : place + 2]
    return [sys.executable, *arguments, *more]


def rehearse(config: Path, file: int) -> int:
    """Be the trial: take in configuration and state, and say which version has done so; return 0.

    Raises LinodmgrError.
    """
    load(config)
    try:
        state = handover.read(file)
        places = handover.check(state).places
    except (ValueError, RecursionError) as error:
        raise LinodmgrError(f"what the running daemon hands over is not understood: {error}") from error
    prepare(places)
    launch.lay_out(places.runtime_dir)
    print(__version__)
    return 0


async def attempt(state: Handover, born: Callable[[int], None], dead: Callable[[int], None]) -> str:
    """Return the version of the daemon that is installed now, tried in a child.

    ``born`` and ``dead`` are told the child's pid, before and after it can be waited for. Raises
    LinodmgrError with what it says if it cannot use ``state``, or not within TRY_WITHIN seconds.
    """
    with contextlib.ExitStack() as stack:
        file, said, words = (stack.enter_context(_memory(what)) for what in ("state", "stdout", "stderr"))
        handover.write(state, file)
        child = subprocess.Popen(
            command(TRY, str(file)),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=words,
            pass_fds=(file,),
            start_new_session=True,
        )
        born(child.pid)
        try:
            if not await _ends(child.pid, TRY_WITHIN):
                raise LinodmgrError(f"cannot upgrade: the new version is not ready within {TRY_WITHIN:g} s")
        finally:
            end(child)
            dead(child.pid)
        status = child.returncode
        if status != 0:
            lines = _text(words).splitlines()
            if status == ConfigError.exit_code:
                raise ConfigError([line.removeprefix(OURS) for line in lines])
            raise LinodmgrError(f"cannot upgrade: {_reason(lines, status)}")
        if not (version := _text(said)):  # what is installed is not what we know, an empty file for example
            raise LinodmgrError(
                "cannot upgrade: the new version does not say that it has understood anything"
            )
        return version


def execute(state: Handover) -> NoReturn:
    """Become the daemon that is installed now. Raises OSError if that is not possible.

    Signals have to be blocked; what comes meanwhile waits for the handlers of the new one.
    """
    with _memory("state") as file:
        handover.write(state, file)
        descriptors = [*state.descriptors(), file]
        try:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, True)
            arguments = command(TAKE_OVER, str(file))
            os.execv(arguments[0], arguments)
        finally:  # it was not possible
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)


@contextlib.contextmanager
def _memory(name: str) -> Iterator[int]:
    """Yield a file in memory."""
    file = os.memfd_create(f"linodmgr-{name}", os.MFD_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


async def _ends(pid: int, seconds: float) -> bool:
    """Wait for a child to end; return whether it did so in time."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    pidfd = os.pidfd_open(pid)
    loop.add_reader(pidfd, _set, ended)
    try:
        return bool((await asyncio.wait([ended], timeout=seconds))[0])
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _set(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)


def _text(file: int) -> str:
    """Return the last of what was written into a file in memory, printable."""
    size = os.fstat(file).st_size
    text = os.pread(file, WORDS_READ, max(0, size - WORDS_READ)).decode("utf-8", "replace").strip()
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _reason(lines: Sequence[str], status: int) -> str:
    """Return why the trial failed: all that it told us, or the last line of a traceback."""
    told = [line.removeprefix(OURS) for line in lines if line.startswith(OURS)]
    if told:
        return "; ".join(told)
    how = f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
    places = [line.strip() for line in lines if line.startswith('  File "')][-1:]  # a syntax error names none
    return ": ".join([f"the new version {how}", *places, *(line[:SHOWN] for line in lines[-1:])])
