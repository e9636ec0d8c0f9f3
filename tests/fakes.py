"""The operating system as the tests play it: the same protocol as the real one."""

import signal
from collections.abc import Collection
from itertools import count

from linodmgr.core.site import Site
from linodmgr.core.states import Remedy
from linodmgr.daemon.contain import Room
from linodmgr.daemon.live import LiveWorker
from linodmgr.daemon.spawning import SpawnError
from linodmgr.daemon.starts import OnExit


class FakeProcesses:
    """Workers that exist only as numbers. ``signals`` is what they got, in order."""

    def __init__(self) -> None:
        self.alive: dict[int, Site] = {}
        self.signals: list[tuple[int, str]] = []
        self.failing: dict[str, SpawnError] = {}  # by site name
        self.surprises: set[str] = set()  # sites whose spawn goes wrong as nobody has thought of
        self.deaf: set[str] = set()  # sites whose workers ignore the stop signal
        self._exits: dict[int, OnExit] = {}
        self._pids = count(1000)

    def spawn(self, site: Site, on_exit: OnExit) -> int:
        """Return the next number. Raises SpawnError as told, or for a site with a problem."""
        if site.problem:
            raise SpawnError(site.problem, Remedy.CHANGE)
        if site.name in self.surprises:
            raise ValueError("nobody thought of this")
        if site.name in self.failing:
            raise self.failing[site.name]
        pid = next(self._pids)
        self.alive[pid] = site
        self._exits[pid] = on_exit
        return pid

    def adopt(self, live: LiveWorker, on_exit: OnExit) -> None:
        """Know one more. Raises ProcessLookupError for one that is alive already."""
        if live.pid in self.alive:
            raise ProcessLookupError(f"pid {live.pid} is another process by now")
        self.alive[live.pid] = live.site
        self._exits[live.pid] = on_exit

    def room_of(self, pid: int) -> Room:
        """Return a room without walls."""
        return Room("", "")

    def terminate(self, pid: int) -> None:
        """Note it; ``obey`` lets it have its effect."""
        if pid in self.alive:
            self.signals.append((pid, "stop"))

    def kill(self, pid: int) -> None:
        """Note it; ``obey`` lets it have its effect."""
        if pid in self.alive:
            self.signals.append((pid, "kill"))

    def holders(self, directories: Collection[str]) -> Collection[int]:
        """Nobody: they take no locks."""
        return ()

    def obey(self) -> None:
        """Let every worker die of what it was sent."""
        for pid, kind in self.signals:
            if kind == "kill":
                self.exit(pid, -signal.SIGKILL)
            elif pid in self.alive and self.alive[pid].name not in self.deaf:
                self.exit(pid, 0)
        self.signals = [(pid, kind) for pid, kind in self.signals if pid in self.alive]

    def exit(self, pid: int, status: int) -> None:
        """Let a worker end."""
        if self.alive.pop(pid, None) is not None:
            self._exits.pop(pid)(pid, status)
