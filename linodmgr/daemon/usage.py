"""What the workers use of memory and CPU, each with all its descendants."""

from collections.abc import Collection
from dataclasses import dataclass

import psutil


@dataclass(slots=True)
class Usage:
    """Of a whole tree: resident bytes, and seconds of CPU since start."""

    rss: int = 0
    cpu: float = 0.0


def usage(pids: Collection[int]) -> dict[int, Usage]:
    """Return what each of ``pids`` uses; one pass over the host's processes, none if there is no pid."""
    if not pids:
        return {}
    found = {pid: Usage() for pid in pids}
    processes = {process.pid: process for process in psutil.process_iter(["ppid"])}
    for process in processes.values():
        root = _root(process, processes, found)
        if root is None:
            continue
        try:
            with process.oneshot():
                times = process.cpu_times()
                found[root].rss += process.memory_info().rss
                found[root].cpu += times.user + times.system
                if process.pid == root:  # of those that have ended, only their parent knows
                    found[root].cpu += times.children_user + times.children_system
        except psutil.Error:  # it ended meanwhile
            continue
    return found


def _root(
    process: psutil.Process, processes: dict[int, psutil.Process], found: dict[int, Usage]
) -> int | None:
    """Return which of the pids in ``found`` the process descends from."""
    seen: set[int] = set()
    while process.pid not in found:
        parent = processes.get(process.info["ppid"])
        if parent is None or parent.pid in seen:
            return None
        seen.add(parent.pid)
        process = parent
    return int(process.pid)
