"""What is kept of each site's past: one append-only file of JSON lines per site, in the state directory."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from linodmgr.core.facts import Fact, KnownJob, KnownJobs, RunBegun, RunEnded, RunMissed, WorkerExit
from linodmgr.daemon.records import decode, encode, gathered, read, thin_out
from linodmgr.daemon.writer import Append, Writer

log = logging.getLogger(__name__)

GATHERED_FOR = 60.0  # seconds that quiet runs wait to be written together
GATHERED_LIMIT = 5000  # quiet runs of a site
THIN_OUT_FROM = 2 * 1024 * 1024  # bytes
FAREWELL = 5.0  # seconds for the disk to take what waits at the end
# What a site may have written: a burst, and then so much a second. Its own user decides what it says.
BURST, RATE = 4 * 1024 * 1024, 32 * 1024  # bytes
SYNC_BURST, SYNC_RATE = 2000.0, 1.0  # stored beginnings


class _Allowance:
    """What one site may still have written."""

    def __init__(self) -> None:
        self._bytes, self._syncs = float(BURST), SYNC_BURST
        self._at = time.monotonic()
        self.exceeded = False  # which was said

    def grants(self, size: int, *, sync: bool) -> tuple[bool, bool]:
        """Whether so many bytes may be written, and whether they may be synced."""
        now = time.monotonic()
        self._bytes = min(BURST, self._bytes + (now - self._at) * RATE)
        self._syncs = min(SYNC_BURST, self._syncs + (now - self._at) * SYNC_RATE)
        self._at = now
        if self._bytes < size:
            return False, False
        self._bytes -= size
        if sync and self._syncs >= 1:
            self._syncs -= 1
            return True, True
        return True, False


class History:
    """The files, and what waits to be written into them. Nothing here waits for a disk."""

    def __init__(self, directory: Path, gathered_for: float = GATHERED_FOR) -> None:
        self._writer = Writer(directory, self._written)
        self._gathered_for = gathered_for  # seconds
        self._quiet: dict[str, list[RunEnded]] = {}
        self._known: dict[str, dict[str, KnownJob]] = {}
        self._allowances: dict[str, _Allowance] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._thin_from: dict[Path, int] = {}  # only the writer's thread uses it

    def note(self, name: str, fact: Fact, stored: Callable[[], None] | None = None) -> None:
        """Keep ``fact`` of a site; ``stored`` is called once it would survive a loss of power.

        Quiet runs are written once a minute, all together.
        """
        if isinstance(fact, RunBegun | RunEnded | RunMissed):  # it says better when the job is due next
            self._known.get(name, {}).pop(fact.job, None)
        if isinstance(fact, RunEnded) and fact.quiet:
            waiting = self._quiet.setdefault(name, [])
            if len(waiting) < GATHERED_LIMIT:
                waiting.append(fact)
            self._flush_later()
            return
        if name in self._quiet:  # they happened before
            self._flush(name)
        self._append(name, fact, stored)

    def note_known(self, name: str, jobs: list[KnownJob]) -> None:
        """Keep when jobs are next due; written together, too."""
        if jobs:
            self._known.setdefault(name, {}).update((job.id, job) for job in jobs)
            self._flush_later()

    def note_exit(self, name: str, end: WorkerExit, last_output: Callable[[], tuple[str, ...]]) -> None:
        """Keep an end of the worker; ``last_output`` is called in the thread, because it reads a file."""

        def line() -> bytes:
            return encode(WorkerExit(end.at, end.cause, end.uptime, last_output()))

        self._writer.append(Append(name, line))

    def load(self, name: str, then: Callable[[list[Fact]], None]) -> None:
        """Call ``then`` with all that is kept of a site, oldest first."""
        self.read(name, lambda facts: facts, then)

    def read(self, name: str, work: Callable[[list[Fact]], object], then: Callable[..., None]) -> None:
        """Call ``then``, in the loop, with what ``work`` makes, in the thread, of all that is kept."""
        self._flush(name)

        def facts() -> list[Fact]:
            try:
                return list(decode(read(self._writer.path(name))))
            except OSError as error:
                log.warning("%s: cannot read its history: %s", name, error.strerror)
                return []

        self._writer.ask(lambda: work(facts()), then)

    async def is_written(self, limit: float = FAREWELL) -> bool:
        """Write all that waits; return whether the disk has taken it within ``limit`` seconds."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flush_all()
        self._writer.ask(lambda: None, lambda _: None if written.done() else written.set_result(None))
        return bool((await asyncio.wait([written], timeout=limit))[0])

    def close(self, limit: float = FAREWELL) -> None:
        """Write all that waits and tell who waits for it, for at most ``limit`` seconds.

        What is noted later is still written.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flush_all()
        self._writer.close(limit)

    def _append(self, name: str, fact: Fact, stored: Callable[[], None] | None = None) -> None:
        lines = encode(fact)
        allowance = self._allowances.setdefault(name, _Allowance())
        write, sync = allowance.grants(len(lines), sync=stored is not None)
        if write:
            self._writer.append(Append(name, lines, stored if sync else None))
        elif not allowance.exceeded:
            allowance.exceeded = True
            log.warning("%s: tells too much of its runs; not all of it is kept in its history", name)

    def _flush_later(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._gathered_for, self._flush_due)

    def _flush_due(self) -> None:
        self._timer = None
        self._flush_all()

    def _flush_all(self) -> None:
        for name in {*self._quiet, *self._known}:
            self._flush(name)

    def _flush(self, name: str) -> None:
        """Hand over what was gathered of a site."""
        for line in gathered(self._quiet.pop(name, ())):
            self._append(name, line)
        if known := self._known.pop(name, None):
            self._append(name, KnownJobs(list(known.values())))

    def _written(self, path: Path, size: int) -> None:
        """Thin out a file that has become long; in the thread."""
        if size > self._thin_from.get(path, THIN_OUT_FROM):
            self._thin_from[path] = 2 * size  # should it not be possible
            self._thin_from[path] = max(THIN_OUT_FROM, 2 * thin_out(path, time.time()))


def own_directory(state_dir: Path) -> Path:
    """Return the directory of the histories, made if it is not there; nobody else may look into it.

    Raises OSError.
    """
    directory = state_dir / "history"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = os.lstat(directory)
    if found.st_uid != os.geteuid() or not directory.is_dir() or directory.is_symlink():
        raise OSError(f"{str(directory)!r} must be a directory of our own")
    directory.chmod(0o700)
    return directory
