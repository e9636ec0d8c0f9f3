"""The words between the loop and the operating system: what can go wrong at a spawn."""

import errno
import os
import signal
from collections.abc import Collection
from typing import Protocol

from linodmgr.core.site import Site
from linodmgr.core.states import Remedy
from linodmgr.daemon.contain import Room
from linodmgr.daemon.live import LiveWorker
from linodmgr.daemon.starts import OnExit

SCARCE = {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT}


class SpawnError(Exception):
    """No process: ``reason`` in words, what helps, and which processes are in the way.

    ``is_unseen``: some process is, but it could not be found; ``is_lent``: they run no jobs, another
    daemon holds the site for them.
    """

    def __init__(
        self,
        reason: str,
        remedy: Remedy,
        in_the_way: tuple[int, ...] = (),
        *,
        is_unseen: bool = False,
        is_lent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.is_lent = is_lent
        self.is_unseen = is_unseen
        self.reason = reason
        self.remedy = remedy
        self.in_the_way = in_the_way


class Processes(Protocol):
    """All that the loop asks of the operating system."""

    def spawn(self, site: Site, on_exit: OnExit) -> int:
        """Return the pid of a new worker; ``on_exit(pid, status)`` once it has ended.

        Raises SpawnError.
        """
        ...

    def adopt(self, live: LiveWorker, on_exit: OnExit) -> None:
        """Watch a worker that an earlier daemon has started. Raises ProcessLookupError, OSError."""
        ...

    def room_of(self, pid: int) -> Room:
        """Return where a worker lives, until its end has been told. Raises KeyError."""
        ...

    def terminate(self, pid: int) -> None:
        """Send the stop signal to the main process only."""
        ...

    def kill(self, pid: int) -> None:
        """Send SIGKILL to the whole tree."""
        ...

    def holders(self, directories: Collection[str]) -> Collection[int]:
        """Return who holds the lock of one of these project directories."""
        ...


def failure(verb: str, error: OSError) -> SpawnError:
    """Return what an operating system error means for the worker."""
    remedy = Remedy.BACKOFF if error.errno in SCARCE else Remedy.RETRY
    words = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return SpawnError(f"cannot {verb}: {words}", remedy)


def cause(status: int | None) -> str:
    """Return how a process ended, in words.

    >>> cause(1)
    'exited with status 1'
    >>> cause(-9)
    'killed by SIGKILL'
    >>> cause(None)
    'ended, nobody saw how'
    """
    if status is None:
        return "ended, nobody saw how"
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-status}"
