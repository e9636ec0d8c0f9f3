"""Looks how much memory a worker uses, whenever its runner tells that it goes on, or that a run has ended."""

from linodmgr.core.states import Outgrown
from linodmgr.core.worker import pid_of
from linodmgr.daemon.limits import size, used
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.spawning import Processes


class Memory:
    """A worker above ``memory_max`` is started again between two jobs."""

    def __init__(self, loop: Loop, processes: Processes) -> None:
        self._loop = loop
        self._processes = processes

    def look(self, name: str) -> None:
        """Look at the worker of one site; one without a limit costs nothing."""
        limit = self._loop.sites[name].memory_max
        pid = pid_of(self._loop.fleet[name]) if limit else None
        if pid is None:
            return
        bytes_used = used(self._processes.room_of(pid), pid)
        if bytes_used > limit:
            self._loop.put(name, Outgrown(f"used {size(bytes_used)} of memory, memory_max is {size(limit)}"))
