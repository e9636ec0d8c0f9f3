"""One site's list mode as a process: started as the site's user, limited in time and output."""

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from linodmgr import becoming, launch
from linodmgr.core.site import Site
from linodmgr.errors import LinodmgrError

CHUNK = 64 * 1024  # bytes
PIECES_LEFT = 1 << 5  # a pipe holds 1 MiB at most, unless someone goes on writing
WORDS_KEPT = 1000  # characters of what a site says last
ERRORS_KEPT = 16 * 1024  # bytes of stderr, the last ones
END_WITHIN = 1.0  # seconds, after SIGKILL


class NoListing(LinodmgrError):
    """A site's jobs are not known; the text is the reason alone."""


def print_of(
    site: Site, runner_dir: Path, time_limit: float, cancelled: int, ours: set[int] | None = None
) -> bytes:
    """Return what the list mode of ``site`` printed. Raises NoListing.

    ``time_limit`` is seconds; the process is also ended when descriptor ``cancelled`` becomes readable.
    ``ours`` has its pid as long as nobody else may wait for it.
    """
    with _started(site, runner_dir, set() if ours is None else ours) as (child, line):
        output = _Output(child)
        ended = output.collect(time_limit, cancelled)
        if not ended:
            raise NoListing(f"did not answer within {time_limit:g} s{output.last_words()}")
        _end_group(child)
        status = child.poll()
        output.drain()
        if line and (code := becoming.failure(line.recv(16))):
            raise OSError(code, os.strerror(code))
    if status is None:  # somebody traces it, and keeps that to himself
        raise NoListing(f"ended, nobody saw how{output.last_words()}")
    if status != 0:
        raise NoListing(_end_in_words(status) + output.last_words())
    return output.text()


@contextmanager
def _in_words(site: Site, python: str) -> Iterator[None]:
    """Say what was wrong if ``python`` could not be executed."""
    try:
        yield
    except FileNotFoundError as error:
        if not os.path.lexists(site.directory):
            raise NoListing(f"cannot enter directory {site.directory!r}: {error.strerror}") from error
        if os.path.lexists(python):
            raise NoListing(f"cannot run {python}: what it needs does not exist") from error
        raise NoListing(f"no virtualenv: {python} does not exist") from error
    except OSError as error:
        raise NoListing(f"cannot run {python}: {error.strerror}") from error


@contextmanager
def _started(
    site: Site, runner_dir: Path, ours: set[int]
) -> "Iterator[tuple[subprocess.Popen[bytes], socket.socket | None]]":
    """Yield the process; where its user is not ours, it is about to become it, and there is a line to it."""
    start = launch.listing(site, runner_dir)
    line = None
    with _in_words(site, start.arguments[0]), ExitStack() as stack:
        if "user" in start.identity:
            child, line = becoming.make(runner_dir / launch.SPARE.name, subprocess.PIPE)
            stack.enter_context(line)
        else:
            child = subprocess.Popen(
                **start.keywords(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        ours.add(child.pid)
        try:
            if line:
                becoming.tell(line, start, {})
            yield child, line
        finally:
            if child.returncode is None:
                _end_group(child)
                with suppress(subprocess.TimeoutExpired):  # then it is an orphan
                    child.wait(END_WITHIN)
            for pipe in (child.stdout, child.stderr):
                if pipe:
                    pipe.close()
            ours.discard(child.pid)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Kill what ``child`` started; it has not been waited for, so that its number is still its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


class _Output:
    """What a child prints: all of stdout up to a limit, the last of stderr."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        assert child.stderr is not None
        self._pid = child.pid
        self._printed: list[bytes] = []
        self._size = 0
        self._errors = b""
        self._takers = {child.stdout.fileno(): self._take_printed, child.stderr.fileno(): self._take_errors}
        for pipe in self._takers:
            os.set_blocking(pipe, False)

    def collect(self, time_limit: float, cancelled: int) -> bool:
        """Read until the child has ended; return whether it did within ``time_limit`` seconds."""
        end = time.monotonic() + time_limit
        pidfd = os.pidfd_open(self._pid)
        try:
            with selectors.DefaultSelector() as selector:
                for source in (pidfd, cancelled, *self._takers):
                    selector.register(source, selectors.EVENT_READ)
                while (left := end - time.monotonic()) > 0:
                    for key, _ in selector.select(left):
                        if key.fd == pidfd:
                            return True
                        if key.fd == cancelled:
                            raise NoListing("was interrupted")
                        if not self._read(key.fd):
                            selector.unregister(key.fd)
        finally:
            os.close(pidfd)
        return False

    def drain(self) -> None:
        """Read what waits in the pipes; who still holds their other end is not waited for."""
        for pipe in self._takers:
            with suppress(BlockingIOError):
                for _ in range(PIECES_LEFT):
                    if not self._read(pipe):
                        break

    def _read(self, pipe: int) -> bool:
        """Take one piece; return whether there may be more."""
        piece = os.read(pipe, CHUNK)
        self._takers[pipe](piece)
        return bool(piece)

    def _take_printed(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > launch.LIST_OUTPUT_LIMIT:
            raise NoListing(f"printed more than {launch.LIST_OUTPUT_LIMIT >> 20} MiB")
        self._printed.append(piece)

    def _take_errors(self, piece: bytes) -> None:
        self._errors = (self._errors + piece)[-ERRORS_KEPT:]

    def text(self) -> bytes:
        """Return what was printed."""
        return b"".join(self._printed)

    def last_words(self) -> str:
        """Return ``: `` and the last line of stderr, or nothing."""
        lines = self._errors.decode(errors="replace").split("\n")
        told = [line.strip() for line in lines if line.strip()]
        return f": {told[-1][:WORDS_KEPT]}" if told else ""


def _end_in_words(status: int) -> str:
    if status > 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
