"""Packs old logs with gzip: a child of low priority, one at a time, never the daemon itself."""

import asyncio
import contextlib
import logging
import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from linodmgr.daemon import rotation
from linodmgr.daemon.children import end

log = logging.getLogger(__name__)

COMMAND = ("gzip", "-c")
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
LOWEST = 19  # priority
PAUSE = 1.0  # seconds: a burst that fills several logs is not held up, and not all of them are kept
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Work:
    """One old file that is being packed."""

    log: Path  # whose old file it is
    plain: int  # open; its name may change meanwhile
    child: subprocess.Popen[bytes]
    pidfd: int


class Packer:
    """The logs that have something to be packed, in order.

    ``born`` and ``dead`` are told the pid of each child, before and after it can be waited for.
    """

    def __init__(self) -> None:
        self.pause = PAUSE  # seconds from when there is something to be packed
        self._timer: asyncio.TimerHandle | None = None
        self.born: Callable[[int], None] = lambda _pid: None
        self.dead: Callable[[int], None] = lambda _pid: None
        self._logs: dict[Path, None] = {}
        self._work: Work | None = None

    def add(self, path: Path) -> None:
        """Pack what is old of the log at ``path``, once it has its turn."""
        self._logs[path] = None
        if self._timer is None and self._work is None:
            self._timer = asyncio.get_running_loop().call_later(self.pause, self._next)

    def look(self, path: Path) -> None:
        """Pack what an earlier daemon did not come to of the log at ``path``."""
        with contextlib.suppress(OSError):
            os.unlink(_part(path))
        if rotation.unpacked(path) is not None:
            self.add(path)

    def stop(self) -> None:
        """End the child; what it was packing stays as it is, for the next daemon."""
        self._logs.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._work is not None:
            self._end()

    def _next(self) -> None:
        self._timer = None
        while self._work is None and self._logs:
            path = next(iter(self._logs))
            plain = rotation.unpacked(path)
            if plain is None:
                del self._logs[path]
                continue
            try:
                self._work = _begin(path, plain)
            except OSError as error:  # without gzip all stays as it is
                log.warning("%s: cannot pack %s: %s", path.stem, plain.name, error.strerror or error)
                del self._logs[path]
                continue
            self.born(self._work.child.pid)
            asyncio.get_running_loop().add_reader(self._work.pidfd, self._ended)

    def _ended(self) -> None:
        assert self._work is not None, "its pidfd was watched"
        work = self._work
        status = work.child.wait()
        part = _part(work.log)
        if status == 0:
            try:
                before = os.fstat(work.plain)
                os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))  # as gzip does it itself
                rotation.replace(work.log, work.plain, part)
            except OSError as error:
                log.warning("%s: cannot pack its old log: %s", work.log.stem, error.strerror)
                self._logs.pop(work.log, None)
        else:
            log.warning("%s: cannot pack its old log: gzip ended with %d", work.log.stem, status)
            self._logs.pop(work.log, None)
        self._end()
        self._next()

    def _end(self) -> None:
        work, self._work = self._work, None
        assert work is not None, "there was something to be packed"
        asyncio.get_running_loop().remove_reader(work.pidfd)
        os.close(work.pidfd)
        os.close(work.plain)
        end(work.child)
        self.dead(work.child.pid)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_part(work.log))


def _begin(path: Path, plain: Path) -> Work:
    """Return a child that packs ``plain``. Raises OSError."""
    source = os.open(plain, _READ)
    target = -1
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is not a file")
        part = _part(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)  # of a child that was killed
        target = os.open(part, _MAKE, 0o600)
        os.fchown(target, -1, found.st_gid)
        os.fchmod(target, stat.S_IMODE(found.st_mode))
        child = subprocess.Popen(
            COMMAND,
            stdin=source,
            stdout=target,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        try:
            os.setpriority(os.PRIO_PROCESS, child.pid, LOWEST)
            return Work(path, source, child, os.pidfd_open(child.pid))
        except OSError:
            end(child)
            raise
    except OSError:
        os.close(source)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_part(path))
        raise
    finally:
        if target >= 0:
            os.close(target)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
