"""One start of a worker as the processes know it, and what is asked of whoever keeps records of it."""

import contextlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from linodmgr.daemon.contain import Room
from linodmgr.daemon.live import LiveWorker

OnExit = Callable[[int, int | None], None]  # pid, and status as Popen tells it; None: nobody knows


class Records(Protocol):
    """What the next daemon will know of the workers of this one."""

    def write(self, live: LiveWorker) -> None:
        """Record a live worker, in place of what was recorded for its site. Raises OSError."""
        ...

    def knows(self, live: LiveWorker) -> bool:
        """Whether there is a record of this very worker."""
        ...

    def forget(self, name: str) -> None:
        """Know that the site has no worker any more."""
        ...


@dataclass(eq=False, slots=True)
class Start:
    """One worker from its start until nothing of it is left."""

    name: str  # of the site
    pid: int
    started: int  # clock ticks after boot
    uid: int
    stop_signal: int
    room: Room
    pidfd: int
    on_exit: OnExit
    process: "subprocess.Popen[bytes] | None" = None  # None: an earlier daemon made it
    live: LiveWorker | None = None  # what is recorded of it
    is_ours: bool = True  # our child, so that its pid stays its own until we reap it
    is_over: bool = False  # the main process has ended
    is_told: bool = False
    is_killed: bool = False
    is_asked: bool = False  # to end
    is_said: bool = False  # that something is left
    waits: bool = False  # for its room to be empty

    def status(self) -> int | None:
        """Return how the main process, a zombie, has ended; None if it is not our child."""
        if not self.is_ours:
            return None
        try:
            seen = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return None
        if seen is None:
            return None
        return seen.si_status if seen.si_code == os.CLD_EXITED else -seen.si_status

    def reap(self) -> None:
        """Let the pid of the main process, a zombie, go.

        One that somebody traces is kept by the tracer, and then seen by whoever reaps orphans.
        """
        if self.process is not None:
            self.process.poll()
        elif self.is_ours:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
