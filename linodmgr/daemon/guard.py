"""Who is in the way of a start: linods that others started, and holders of a lock.

Looked for at a start of the daemon, reload or command of a person, and before a start that had to wait
since then, but never on the restart path. What was found is watched through pidfds, so nothing polls.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Collection, Iterable

from linodmgr import strangers
from linodmgr.core.site import Site

log = logging.getLogger(__name__)

FRESH_SECONDS = 5.0  # so long a look is good for a start
RESPAWN_SECONDS = 5.0  # a stranger under Supervisor has a successor within this time


class Guard:
    """What stands in the way of which site."""

    def __init__(
        self, cleared: Callable[[str], None], holders: Callable[[Collection[str]], Collection[int]]
    ) -> None:
        self._cleared = cleared
        self._holders = holders  # of the locks of these project directories
        self._found: dict[str, list[strangers.Stranger]] = {}
        self._watched: set[tuple[str, int]] = set()
        self._others: set[tuple[str, int]] = set()  # of them: who does not run its jobs
        self._looked: dict[str, float] = {}  # when, by site: monotonic

    def look(self, sites: Collection[Site], ours: Collection[int]) -> None:
        """Look for linods in the directories of ``sites`` that are none of ``ours``.

        Who holds a site's lock needs no care: the lock itself keeps us out, and lets us in
        as soon as it is free.
        """
        directories: dict[tuple[int, int], str] = {}
        for site in sites:
            self._found.pop(site.name, None)
            self._looked[site.name] = time.monotonic()
            try:
                where = os.stat(site.directory)
            except OSError:  # the spawn will say so
                continue
            directories[where.st_dev, where.st_ino] = site.name
        if not directories:
            return
        # What workers have left behind is ours, too, and ended by us.
        found_by_name = strangers.find(directories, {*ours, os.getpid()})
        if not found_by_name:
            return
        self._leave_out(found_by_name, sites)
        holders = self._holders([site.directory for site in sites if site.name in found_by_name])
        for name, found in found_by_name.items():
            if lockless := [stranger for stranger in found if stranger.pid not in holders]:
                self._found[name] = lockless
                log.warning("%s: another linod runs for this directory: %s", name, _words(lockless))

    @staticmethod
    def _leave_out(found: dict[str, list[strangers.Stranger]], sites: Iterable[Site]) -> None:
        """Do not mind those who have nothing to do with the site that they look like."""
        for site in sites:
            if who := site.identity:
                several = found.get(site.name, [])
                concerned = [
                    one for one in several if strangers.concerns(one, who.uid, who.gid, site.directory)
                ]
                if len(concerned) < len(several):
                    others = _words([one for one in several if one not in concerned])
                    log.warning("%s: a process of another user looks like a linod: %s", site.name, others)
                    found[site.name] = concerned

    def obstacle(self, site: Site, ours: Collection[int], others: Iterable[Site] = ()) -> str:
        """Return why ``site`` must not start now, empty if nothing is in the way.

        ``others`` will start soon, too, and need not be looked for once more then.
        """
        if site.name in self._found:
            self.look([site], ours)
        elif not self._is_fresh(site):
            known = [one for one in others if one.name not in self._found and not self._is_fresh(one)]
            self.look([site, *known], ours)
        if found := self._found.get(site.name):
            self.watch(site.name, [stranger.pid for stranger in found])
            return f"another linod runs for this directory: {_words(found)}"
        return ""

    def known(self, site: Site, ours: Collection[int]) -> str:
        """Return what was in the way of ``site`` and still is; nobody new is looked for."""
        return self.obstacle(site, ours) if site.name in self._found else ""

    def _is_fresh(self, site: Site) -> bool:
        return time.monotonic() - self._looked.get(site.name, -math.inf) < FRESH_SECONDS

    def in_the_way(self, name: str) -> str:
        """Return which of the processes that were once in the way of ``name`` still are, in words."""
        pids = [pid for whose, pid in self._watched - self._others if whose == name]
        found = [stranger for pid in sorted(pids) if (stranger := strangers.describe(pid))]
        return f"another linod runs for this directory: {_words(found)}" if found else ""

    def watch(self, name: str, pids: Iterable[int], *, is_linod: bool = True) -> None:
        """Call back for ``name`` some seconds after each of ``pids`` has ended.

        ``is_linod``: they run its jobs.
        """
        loop = asyncio.get_running_loop()
        for pid in pids:
            if (name, pid) in self._watched:
                continue
            try:
                pidfd = os.pidfd_open(pid)
            except OSError:
                loop.call_later(RESPAWN_SECONDS, self._cleared, name)
                continue
            self._watched.add((name, pid))
            if not is_linod:
                self._others.add((name, pid))
            loop.add_reader(pidfd, self._ended, name, pid, pidfd)

    def hand_over(self) -> list[tuple[str, int]]:
        """Return whom the next daemon has to ``watch``: sites and pids."""
        return sorted(self._watched)

    def _ended(self, name: str, pid: int, pidfd: int) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(pidfd)
        os.close(pidfd)
        self._watched.discard((name, pid))
        self._others.discard((name, pid))
        delay = RESPAWN_SECONDS if name in self._found else 0.0
        loop.call_later(delay, self._cleared, name)


def _words(found: list[strangers.Stranger]) -> str:
    return ", ".join(str(stranger) for stranger in found)
