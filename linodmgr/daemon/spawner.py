"""Makes the process of a worker: with Popen, or out of the spare process where the user differs from ours."""

import contextlib
import errno
import os
import resource
import subprocess
from pathlib import Path

from linodmgr import launch
from linodmgr.core.site import Site
from linodmgr.core.states import Remedy
from linodmgr.daemon import kin
from linodmgr.daemon.contain import Room
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.spare import Spare
from linodmgr.daemon.spawning import SpawnError, failure

SPARED = 128  # descriptors kept free, so that people can be answered and runners heard


class Spawner:
    """Knows what every worker is given."""

    def __init__(
        self, runner_dir: Path, report: Path, logs: Logs, open_files: tuple[int, int], spare: Spare
    ) -> None:
        self.runner_dir = runner_dir
        self._report = report
        self._logs = logs
        self._open_files = open_files
        self._spare = spare

    def spawn(self, site: Site, lock: int, room: Room) -> subprocess.Popen[bytes]:
        """Return a new process that holds ``lock`` and lives in ``room``. Raises SpawnError."""
        spare_descriptors(lock)
        marks = room.environment
        start = launch.worker(site, self.runner_dir, self._report, lock, self._open_files, marks)
        output = self._logs.open(site)
        try:
            if "user" in start.identity:
                return self._spare.become(start, output, lock, room)
            child = subprocess.Popen(
                **start.keywords(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(lock,)
            )
        except OSError as error:
            verb = f"execute {start.arguments[0]!r} as {_user(site)}"
            if isinstance(error, FileNotFoundError) and os.path.lexists(start.arguments[0]):
                raise SpawnError(f"cannot {verb}: what it needs does not exist", Remedy.RETRY) from error
            raise failure(verb, error) from error
        finally:
            os.close(output)
        take_in(room, child.pid)
        return child


def spare_descriptors(lowest: int) -> None:
    """Raise SpawnError if ``lowest``, the lowest free descriptor of late, is one of the last."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if lowest >= limit - min(SPARED, limit // 4):
        raise failure("start another worker", OSError(errno.EMFILE, ""))


def take_in(room: Room, pid: int) -> None:
    """Take a process into a room, with what it has started so far.

    From then on its children are born there; those that it had left before, with no parent, become ours.
    """
    with contextlib.suppress(OSError):  # it has ended already, which will be seen
        room.take(pid)
        if room.cgroup:
            for child in kin.children_of(pid):
                take_in(room, child)


def _user(site: Site) -> str:
    return repr(site.identity.user) if site.identity else "nobody"
