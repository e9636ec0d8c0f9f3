"""What the workers use of memory and CPU, each with all its descendants: proc_pid_stat(5).

Read by ourselves: psutil, which tells the same, would take 0.7 MB of a daemon that is asked now and then.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass

from linodmgr import birth
from linodmgr.daemon import kin

TICKS = os.sysconf("SC_CLK_TCK")  # a second
PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes


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
    processes = {pid: fields for pid in kin.processes() if (fields := birth.stat(pid))}
    for pid, fields in processes.items():
        root = _root(pid, processes, found)
        if root is None:
            continue
        found[root].rss += int(fields[21]) * PAGE
        found[root].cpu += (int(fields[11]) + int(fields[12])) / TICKS
        if pid == root:  # of those that have ended, only their parent knows
            found[root].cpu += (int(fields[13]) + int(fields[14])) / TICKS
    return found


def _root(pid: int, processes: dict[int, list[bytes]], found: dict[int, Usage]) -> int | None:
    """Return which of the pids in ``found`` the process descends from."""
    seen: set[int] = set()
    while pid not in found:
        if pid not in processes or pid in seen:
            return None
        seen.add(pid)
        pid = int(processes[pid][1])
    return pid
