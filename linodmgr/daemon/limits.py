"""The limits of a worker's process, set while its runner waits for our go."""

import logging
import os
import resource

from linodmgr.core.site import Site
from linodmgr.daemon import kin
from linodmgr.daemon.contain import Room

log = logging.getLogger(__name__)

PAGE = os.sysconf("SC_PAGE_SIZE")


class Limits:
    """What sites ask for, and what the daemon itself was started with."""

    def __init__(self, open_files: tuple[int, int]) -> None:
        self._open_files = open_files  # limits of a worker whose site sets none: ours are raised
        self._oom_score_adjust = _oom_score_adjust()  # ours, which every child has at first

    def set(self, site: Site, pid: int) -> None:
        """Set all limits of a process; what this host does not allow is said."""
        limits = (site.open_files, site.open_files) if site.open_files else self._open_files
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        except (OSError, ValueError) as error:
            # In some containers not even root may limit another user's process. Lowering is
            # then left to the runner, which does it in any case.
            if limits[1] > self._open_files[1]:
                log.warning(
                    "%s: cannot set open_files: %s", site.name, getattr(error, "strerror", None) or error
                )
        try:
            if site.nice:
                os.setpriority(os.PRIO_PROCESS, pid, site.nice)
        except OSError as error:
            log.warning("%s: cannot set nice: %s", site.name, error.strerror)
        self._adjust_oom_score(site, pid)

    def _adjust_oom_score(self, site: Site, pid: int) -> None:
        if site.oom_score_adjust == self._oom_score_adjust:
            return
        try:
            with open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(site.oom_score_adjust))
        except ProcessLookupError:  # it has ended already, which will be seen
            pass
        except OSError as error:
            log.warning("%s: cannot set oom_score_adjust: %s", site.name, error.strerror)


def used(room: Room, pid: int) -> int:
    """Return the bytes of memory of all in a room, as the kernel counts them together, where it does.

    Else the resident ones of each are added, of the process and its descendants where there are no groups.
    """
    together = room.memory()
    if together is not None:
        return together
    return sum(_resident(one) for one in (room.pids() if room.cgroup else _family(pid)))


def _family(pid: int) -> list[int]:
    """Return a process and its descendants, as far as their parents live."""
    found = {pid: None}
    left = [pid]
    while left:
        more = [child for child in kin.children_of(left.pop()) if child not in found]
        found |= dict.fromkeys(more)
        left += more
    return list(found)


def _resident(pid: int) -> int:
    """Return the resident bytes of a process, 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def size(number: int) -> str:
    """Return a number of bytes as the configuration writes it.

    >>> size(536870912)
    '512M'
    >>> size(1500000)
    '1.4M'
    """
    mega = number / 2**20
    return f"{mega:.0f}M" if mega >= 10 or mega.is_integer() else f"{mega:.1f}M"


def _oom_score_adjust() -> int:
    with open("/proc/self/oom_score_adj", "rb") as file:
        return int(file.read())
