"""One thread for all that is kept of the past: the event loop never waits for a disk."""

import asyncio
import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from linodmgr.daemon.deaf import deaf
from linodmgr.daemon.stored import sync_directory

log = logging.getLogger(__name__)

T = TypeVar("T")

BACKLOG = 16 * 1024 * 1024  # bytes that may wait for a disk
SAID_AGAIN = 3600.0  # seconds until the same trouble is told again
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(slots=True)
class Append:
    """Lines for the file of one site; ``stored`` is called once they would survive a loss of power.

    Those that have to be found out first are asked for in the thread.
    """

    name: str
    lines: bytes | Callable[[], bytes]
    stored: Callable[[], None] | None = None


@dataclass(slots=True)
class _Pending:
    lines: bytearray = field(default_factory=bytearray)
    stored: list[Callable[[], None]] = field(default_factory=list)


class Writer:
    """Appends to one file per site, and does other work with these files in between, in order."""

    def __init__(self, directory: Path, written: Callable[[Path, int], None]) -> None:
        self._directory = directory
        self._written = written  # called in the thread with a file and its size
        self._queue: SimpleQueue[Append | Callable[[], None] | None] = SimpleQueue()
        self._waiting = 0  # bytes
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._answers: SimpleQueue[Callable[[], None]] = SimpleQueue()  # to be called in the loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._said_at: dict[str, float] = {}  # that the file of a site cannot be written; monotonic

    def path(self, name: str) -> Path:
        """Return the file of a site."""
        return self._directory / f"{name}.jsonl"

    def append(self, what: Append) -> None:
        """Write it soon; if the disk has been hanging for long, it is forgotten."""
        if isinstance(what.lines, bytes):
            with self._lock:
                if self._waiting + len(what.lines) > BACKLOG:
                    return
                self._waiting += len(what.lines)
        self._put(what)

    def ask(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do ``work`` in the thread, after all that was appended; ``then`` in the loop."""

        def answer() -> None:
            done = work()
            self._call(lambda: then(done))

        self._put(answer)

    def close(self, limit: float) -> None:
        """Write what waits and tell who waits for it, for at most ``limit`` seconds, and end."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(limit)
            if self._thread.is_alive():
                log.warning("cannot write all of the history: the disk does not answer within %g s", limit)
            self._thread = None
            self._answer()

    def _put(self, what: Append | Callable[[], None]) -> None:
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            thread = threading.Thread(target=self._run, name="history", daemon=True)
            with deaf():
                thread.start()
            self._thread = thread
        self._queue.put(what)

    def _call(self, function: Callable[[], None]) -> None:
        self._answers.put(function)
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        while not self._answers.empty():
            try:
                self._answers.get()()
            except Exception:  # one who waits must not keep the others from hearing
                log.exception("what was written or read of the history could not be told")

    def _run(self) -> None:
        """Take what waits, as much as there is at once: many lines, one sync."""
        pending: dict[str, _Pending] = {}
        while True:
            what = self._queue.get()
            while isinstance(what, Append):
                one = pending.setdefault(what.name, _Pending())
                one.lines += self._lines(what.lines)
                if what.stored is not None:
                    one.stored.append(what.stored)
                if self._queue.empty():
                    break
                what = self._queue.get()
            for name, one in pending.items():
                self._write(name, one)
            pending.clear()
            if what is None:
                return
            if not isinstance(what, Append):
                try:
                    what()
                except Exception:  # one question must not end the thread
                    log.exception("the history cannot be read")

    def _lines(self, lines: bytes | Callable[[], bytes]) -> bytes:
        if not isinstance(lines, bytes):
            try:
                return lines()
            except Exception:  # one question must not end the thread
                log.exception("what belongs into the history cannot be found out")
                return b""
        with self._lock:
            self._waiting -= len(lines)
        return lines

    def _write(self, name: str, pending: _Pending) -> None:
        path = self.path(name)
        try:
            size = self._append(path, pending.lines, sync=bool(pending.stored))
        except OSError as error:
            now = time.monotonic()
            if now >= self._said_at.get(name, -math.inf) + SAID_AGAIN:
                self._said_at[name] = now
                log.warning("%s: cannot write its history: %s", name, error.strerror)
            return
        for stored in pending.stored:
            self._call(stored)
        try:
            self._written(path, size)
        except Exception:  # what cannot be made shorter is still true
            log.exception("%s: its history cannot be made shorter", name)

    def _append(self, path: Path, lines: bytearray, *, sync: bool) -> int:
        """Append all of ``lines``, or nothing; return the size of the file."""
        file = os.open(path, FLAGS, 0o600)
        try:
            size = os.fstat(file).st_size
            try:
                written = 0
                while written < len(lines):
                    written += os.write(file, memoryview(lines)[written:])
                if sync:
                    os.fdatasync(file)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(file, size)
                raise
            if sync and size == 0:
                sync_directory(self._directory)
            return size + written
        finally:
            os.close(file)
