"""What must outlive the daemon: the goals that people set, and the locks of the sites."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from linodmgr import birth, cgroups, strangers
from linodmgr.core.states import Remedy
from linodmgr.daemon.cgroup import Cgroup
from linodmgr.daemon.spawning import SpawnError, failure
from linodmgr.daemon.stored import store
from linodmgr.errors import LinodmgrError

log = logging.getLogger(__name__)

GOALS_LIMIT = 1024 * 1024  # bytes of a goals file that is believed
HOLDER_LIMIT = 4096  # bytes of a lock file
LENT = "hold"  # in place of a control group: who has it is no worker


class Locks:
    """One lock per project directory, held by its worker through an inherited descriptor.

    Named by device and inode, so that neither another name for the directory nor another
    entry in the configuration gets round it. A job may close all descriptors: so the file says
    who has taken the lock, and it is not free while that process lives, or anything in its group.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: dict[Path, tuple[int, ...]] = {}  # who held a lock of late, to be asked first

    def take(self, project: str) -> int:
        """Return a descriptor that holds the lock. Raises SpawnError, naming the holder."""
        try:
            path = self._path(project)
        except OSError as error:
            raise failure(f"enter directory {project!r}", error) from error
        try:
            lock = _locked(path)
            if lock is None:
                pids = tuple(strangers.holders(str(path), self._seen.get(path, ())))
                self._seen[path] = pids
                # Whom nobody sees has ended while we looked.
                lock = None if pids else _locked(path)
                if lock is None:
                    raise _in_the_way(pids)
        except OSError as error:
            raise failure(f"lock {project!r}", error) from error
        try:
            found = _recorded(lock)
        except OSError as error:
            os.close(lock)
            raise failure(f"find out who has the lock of {project!r}", error) from error
        if found:
            os.close(lock)
            raise _in_the_way(_all(found), is_lent=all(map(_is_lent, found)))
        self._seen.pop(path, None)
        return lock

    @staticmethod
    def record(lock: int, pid: int, cgroup: str) -> None:
        """Write into a lock who has it by now: a process, and all that is in the group ``cgroup``."""
        try:
            _write(lock, [_line(pid, cgroup)])
        except OSError as error:  # whoever has its descriptor holds it all the same
            log.warning("cannot write into the lock of pid %d: %s", pid, error.strerror)

    def lend(self, project: str, pid: int) -> None:
        """Let nobody but its holder of now have a lock until a process has ended that is no worker.

        No daemon starts a worker meanwhile, whatever becomes of this one: the file says it. Raises OSError.
        """
        lock = _opened(self._path(project))
        try:
            lines = list(_recorded(lock))
            if all(_holder(line) != (pid, birth.born(pid)) for line in lines):
                _write(lock, [*lines, _line(pid, LENT)])
        finally:
            os.close(lock)

    def take_back(self, project: str) -> None:
        """Let a lock that was lent be free although those live to whom it was. Raises OSError."""
        lock = _opened(self._path(project))
        try:
            _write(lock, [line for line in _lines(lock) if not _is_lent(line)])
        finally:
            os.close(lock)

    def names(self, places: Iterable[tuple[int, int]]) -> list[str]:
        """Return the lock files of project directories by st_dev and st_ino."""
        return [str(self._directory / f"{device}-{inode}") for device, inode in places]

    def told(self, place: tuple[int, int]) -> tuple[int, ...]:
        """Return who lives of those that have taken the lock of a project directory, as its file says."""
        [path] = self.names([place])
        try:
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return ()
        try:
            return _all(_recorded(lock))
        except OSError:
            return ()
        finally:
            os.close(lock)

    def holders(self, projects: Iterable[str]) -> set[int]:
        """Return the processes that hold one of these locks."""
        paths = []
        for project in projects:
            with contextlib.suppress(OSError):
                paths.append(str(self._path(project)))
        return {pid for pids in strangers.holders_of(paths).values() for pid in pids}

    def _path(self, project: str) -> Path:
        where = os.stat(project)
        return self._directory / f"{where.st_dev}-{where.st_ino}"


def _opened(path: Path) -> int:
    """Return a descriptor of a lock file. One can only read through it. Raises OSError.

    A worker has it, too, and must not write what we believe.
    """
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _write(lock: int, lines: Iterable[str]) -> None:
    """Let a lock file have these lines. Raises OSError."""
    text = os.fsencode("".join(f"{line}\n" for line in lines))
    file = os.open(f"/proc/self/fd/{lock}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(file, text, 0)
        os.ftruncate(file, len(text))
    finally:
        os.close(file)


def _lines(lock: int) -> list[str]:
    return os.fsdecode(os.pread(lock, HOLDER_LIMIT, 0)).splitlines()


def _line(pid: int, cgroup: str) -> str:
    return f"{pid} {birth.born(pid)} {birth.boot()} {cgroup}"


def _holder(line: str) -> tuple[int, int]:
    """Return the pid of which a line tells and when it was started, zeros if it is none of this boot."""
    try:
        pid, born, boot, _ = line.split(" ", 3)
        return (int(pid), int(born)) if boot == birth.boot() else (0, 0)
    except ValueError:  # it is new, or nobody could write into it
        return (0, 0)


def _living(line: str) -> tuple[int, ...]:
    """Return who lives of those that a line tells of: its main process, else who is in its group.

    Raises OSError if nobody can tell.
    """
    pid, born = _holder(line)
    if pid <= 0:
        return ()
    if birth.lives(pid, born):
        return (pid,)
    cgroup = line.split(" ", 3)[3]
    group = Cgroup(cgroup)
    return () if not cgroups.may_be_workers(cgroup) or group.is_empty() else tuple(group.pids())


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock at ``path``; None: somebody else does. Raises OSError."""
    lock = _opened(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return lock


def _recorded(lock: int) -> dict[str, tuple[int, ...]]:
    """Return the lines that tell of who lives, and their pids. Raises OSError if nobody can tell."""
    return {line: pids for line in _lines(lock) if (pids := _living(line))}


def _all(found: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(pid for pids in found.values() for pid in pids)


def _is_lent(line: str) -> bool:
    return line.endswith(f" {LENT}")


def _in_the_way(pids: tuple[int, ...], *, is_lent: bool = False) -> SpawnError:
    found = [stranger for pid in pids if (stranger := strangers.describe(pid))]
    who = ", ".join(str(stranger) for stranger in found)
    if not who:
        who = f"pid {pids[0]}, which is ending" if pids else "a process that cannot be seen"
    what = "this directory is held" if is_lent else "another linod runs for this directory"
    return SpawnError(f"{what}: {who}", Remedy.RETRY, pids, is_unseen=not pids, is_lent=is_lent)


def lock_daemon(runtime_dir: Path) -> int:
    """Return a descriptor that makes this the one daemon of ``runtime_dir``.

    Raises LinodmgrError if there is one already.
    """
    path = runtime_dir / "daemon.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(lock, 20).decode("ascii", "replace").strip()
        os.close(lock)
        raise LinodmgrError(
            f"cannot start the daemon: another one (pid {pid or 'unknown'}) serves {str(runtime_dir)!r}"
        ) from error
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


class Goals:
    """Which sites were stopped by hand; survives the daemon and the machine."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "goals.json"
        self._stopped = self._stored = self._read()

    def is_stopped(self, name: str) -> bool:
        """Whether a person stopped this site."""
        return name in self._stopped

    def set_stopped(self, names: Iterable[str]) -> None:
        """Remember that a person stopped these sites.

        Raises LinodmgrError if it cannot be stored; then the next daemon does not know it.
        """
        self._stopped = self._stopped | set(names)
        try:
            self._store()
        except OSError as error:
            reason = f"cannot store what is wanted: {error.strerror}"
            raise LinodmgrError(f"{reason}: stopped only until the next start of the daemon") from error

    def set_started(self, names: Iterable[str]) -> None:
        """Remember that a person started these sites. Raises OSError if it cannot be stored."""
        before = self._stopped
        self._stopped = before - set(names)
        try:
            self._store()
        except OSError:
            self._stopped = before
            raise

    def _store(self) -> None:
        if self._stopped != self._stored:
            store(self._path, msgspec.json.encode({"stopped": sorted(self._stopped)}))
            self._stored = self._stopped

    def _read(self) -> set[str]:
        try:
            with open(self._path, "rb") as file:
                content = msgspec.json.decode(file.read(GOALS_LIMIT))
            return {name for name in content["stopped"] if isinstance(name, str)}
        except FileNotFoundError:
            return set()
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            aside = self._path.with_suffix(".damaged")
            log.warning("cannot read %s: %s; it is set aside as %s", self._path, error, aside)
            with contextlib.suppress(OSError):  # a disk that lets nobody write is no reason not to run
                os.replace(self._path, aside)
            return set()
