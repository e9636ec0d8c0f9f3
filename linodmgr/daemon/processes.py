"""Spawn, signal, reap. The only file that starts workers."""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

from linodmgr import launch
from linodmgr.core.site import Site
from linodmgr.core.states import Remedy
from linodmgr.daemon.keep import Locks
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.spare import Spare
from linodmgr.daemon.spawning import SpawnError, failure

log = logging.getLogger(__name__)

SPARED = 128  # descriptors kept free, so that people can be answered and runners heard


class LinuxProcesses:
    """Real workers; their exits are seen through pidfds, no thread and no SIGCHLD."""

    def __init__(
        self, runner_dir: Path, report: Path, locks: Locks, logs: Logs, open_files: tuple[int, int]
    ) -> None:
        self._runner_dir = runner_dir
        self._report = report
        self._locks = locks
        self._logs = logs
        self._open_files = open_files  # limits of a worker whose site sets none: ours are raised
        self._spare = Spare()
        self._children: dict[int, int] = {}  # pid → the stop signal that its runner was told

    def spawn(self, site: Site, on_exit: Callable[[int, int], None]) -> int:
        """Return the pid of a new worker. Raises SpawnError."""
        if site.problem or site.identity is None:
            raise SpawnError(site.problem or "no user is known", Remedy.CHANGE)
        lock = self._locks.take(site.directory)
        try:
            _spare(lock)
            child = self._popen(site, lock)
        finally:
            os.close(lock)  # the worker has its own
        try:
            _watch(child, lambda: self._reap(child, on_exit))
        except OSError as error:  # nobody would ever know how it ends
            child.kill()
            child.wait()
            raise failure(f"watch pid {child.pid}", error) from error
        self._children[child.pid] = site.stop_signal
        self._limit(site, child.pid)
        return child.pid

    def terminate(self, pid: int) -> None:
        """Send the stop signal to the main process only: what a job started may finish."""
        if pid in self._children:
            os.kill(pid, self._children[pid])

    def kill(self, pid: int) -> None:
        """Send SIGKILL to the worker's process group, which is its whole session at first."""
        if pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)  # should it have left its group

    def close(self) -> None:
        """Know that nothing will be spawned any more."""
        self._spare.close()

    def holders(self, directories: Collection[str]) -> Collection[int]:
        """Return who holds the lock of one of these project directories."""
        return self._locks.holders(directories)

    def _popen(self, site: Site, lock: int) -> subprocess.Popen[bytes]:
        start = launch.worker(site, self._runner_dir, self._report, lock, self._open_files)
        output = self._logs.open(site)
        try:
            if "user" in start.identity and (child := self._spare.become(start, output, lock)):
                return child
            return subprocess.Popen(
                **start.keywords(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(lock,)
            )
        except OSError as error:
            verb = f"execute {start.arguments[0]!r} as {_user(site)}"
            if isinstance(error, FileNotFoundError) and os.path.lexists(start.arguments[0]):
                raise SpawnError(f"cannot {verb}: what it needs does not exist", Remedy.RETRY) from error
            raise failure(verb, error) from error
        finally:
            os.close(output)

    def _limit(self, site: Site, pid: int) -> None:
        """Set the limits; the runner waits for our go meanwhile."""
        limits = (site.open_files, site.open_files) if site.open_files else self._open_files
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        except (OSError, ValueError) as error:
            # In some containers not even root may limit another user's process. Lowering is
            # then left to the runner, which does it in any case.
            if limits[1] > self._open_files[1]:
                log.warning("%s: cannot set open_files: %s", site.name, error)
        try:
            if site.nice:
                os.setpriority(os.PRIO_PROCESS, pid, site.nice)
        except OSError as error:
            log.warning("%s: cannot set nice: %s", site.name, error)

    def _reap(self, child: subprocess.Popen[bytes], on_exit: Callable[[int, int], None]) -> None:
        # While it is a zombie its pid, and so its process group, cannot be anybody else's.
        # What it left behind would hold the lock and run beside its successor.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        status = child.wait()
        del self._children[child.pid]
        on_exit(child.pid, status)


def _spare(lowest: int) -> None:
    """Raise SpawnError if ``lowest``, the lowest free descriptor of late, is one of the last."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if lowest >= limit - min(SPARED, limit // 4):
        raise failure("start another worker", OSError(errno.EMFILE, ""))


def _watch(child: subprocess.Popen[bytes], ended: Callable[[], None]) -> None:
    """Call ``ended`` once the child is a zombie."""
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(child.pid)

    def readable() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        ended()

    loop.add_reader(pidfd, readable)


def _user(site: Site) -> str:
    return repr(site.identity.user) if site.identity else "nobody"
