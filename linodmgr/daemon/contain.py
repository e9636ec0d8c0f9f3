"""The whole process tree of a worker: a control group of its own for each start, else what marks it leaves.

A group holds whoever is in it. Without groups, a process belongs to a start if it is in its
session or bears its mark in the environment, which is as good as it gets.
"""

import contextlib
import logging
import os
import re
import signal
import zlib
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from linodmgr import cgroups
from linodmgr.core.site import Site
from linodmgr.daemon import kin
from linodmgr.daemon.cgroup import Cgroup, Emptying
from linodmgr.daemon.controller import Controller

log = logging.getLogger(__name__)

_MARK = re.compile(r"[0-9a-f]{24}")
_GROUP = re.compile(rf"/.*/{cgroups.WORKER}[0-9a-f]{{24}}")


class Room:
    """Where one start of a worker lives, with all that it starts; this one has no walls."""

    cgroup = ""  # the directory of its group; empty: it has none

    def __init__(self, name: str, mark: str) -> None:
        self.name = name  # of the site
        self.mark = mark  # unique for this start
        self.pid = 0  # of the main process, which leads a session of its own

    @property
    def environment(self) -> dict[str, str]:
        """What the worker has in its environment, so that it can be recognized, and what it starts."""
        return {kin.SITE: self.name, kin.START: self.mark}

    def take(self, pid: int) -> None:
        """Take in a process: the first is the main one. Raises OSError."""
        self.pid = self.pid or pid

    def kill(self) -> None:
        """Send SIGKILL to the process group of the main process, which nobody has reaped.

        Whoever has left that group is found by its traces once the main process has ended.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def is_empty(self) -> bool:
        """Whether nothing lives here. Looks at all processes of the host where there are no walls."""
        return not self.pids()

    def pids(self) -> list[int]:
        """Return who lives here."""
        return [pid for pid in kin.processes() if self.holds(pid)]

    def holds(self, pid: int) -> bool:
        """Whether a process lives here."""
        found = kin.look(pid)
        if found is None or found.is_dead:
            return False
        return (self.pid > 0 and found.session == self.pid) or kin.mark(pid) == self.mark

    def left(self) -> list[tuple[int, str]]:
        """Return who lives here: pid and command."""
        return [(pid, kin.command(pid)) for pid in self.pids()]

    def memory(self) -> int | None:
        """Return how many bytes all that live here use together; None if nobody counts."""
        return None

    def killed_for_memory(self) -> bool:
        """Whether the kernel ended something here because there was no memory left for it."""
        return False

    def close(self) -> None:
        """Know that it is empty and is not needed any more."""


class Cell(Room):
    """A control group of its own: nobody gets out, and all are killed at once."""

    def __init__(self, name: str, mark: str, group: Cgroup, emptying: Emptying) -> None:
        super().__init__(name, mark)
        self.cgroup = group.path
        self.group = group
        self._emptying = emptying

    def take(self, pid: int) -> None:
        """Take in a process. Raises OSError."""
        super().take(pid)
        self.group.take(pid)

    def kill(self) -> None:
        """Send SIGKILL to all that live here, also to those that are just being born."""
        self.group.kill()

    def is_empty(self) -> bool:
        """Whether nothing lives here; a zombie does not."""
        return self.group.is_empty()

    def pids(self) -> list[int]:
        """Return who lives here."""
        return self.group.pids()

    def holds(self, pid: int) -> bool:
        """Whether a process lives here."""
        inside = cgroups.group_of(pid)
        return os.path.basename(self.cgroup) in inside.split("/")

    def when_empty(self, empty: Callable[[], None]) -> None:
        """Call ``empty`` once nothing lives here any more. Raises OSError."""
        self._emptying.wait(self.group, empty)

    def memory(self) -> int | None:
        """Return how many bytes all that live here use together; None if nobody counts."""
        text = self.group.read("memory.current").strip()
        return int(text) if text.isdigit() else None

    def killed_for_memory(self) -> bool:
        """Whether the kernel ended something here because there was no memory left for it."""
        lines = self.group.read("memory.events").splitlines()
        return any(line.startswith(b"oom_kill ") and line != b"oom_kill 0" for line in lines)

    def close(self) -> None:
        """Remove the group, which is empty."""
        if not self.group.remove():
            log.warning("%s: cannot remove %s", self.name, self.cgroup)


class Contain:
    """Makes rooms: with walls where this host lets us."""

    def __init__(self, base: str, runtime_dir: Path) -> None:
        self.base = base  # the directory to make groups in, see linodmgr.cgroups; empty: there are none
        self._emptying = Emptying()
        # With what the marks of this daemon begin, and of earlier ones with this directory.
        self._ours = f"{zlib.crc32(os.fsencode(runtime_dir)):08x}"
        self._memory: Controller | None = None  # nobody has asked for it yet

    def room(self, site: Site | None = None) -> Room:
        """Return a fresh room for a start of a site, which may not be known yet."""
        mark = self._ours + os.urandom(8).hex()
        name = site.name if site else ""
        if not self.base:
            return Room(name, mark)
        group = Cgroup(f"{self.base}/{cgroups.WORKER}{mark}")
        try:
            group.make()
        except OSError as error:
            log.warning("cannot make %s: %s", group.path, error.strerror)
            return Room(name, mark)
        cell = Cell(name, mark, group, self._emptying)
        if site:
            self.limit(cell, site)
        return cell

    def reopen(self, cgroup: str, mark: str, site: Site) -> Room:
        """Return the room that an earlier daemon made.

        Both texts come from a file: a path that cannot be one of ours, least of all our own, is not used.
        """
        if not _MARK.fullmatch(mark):
            mark = self._ours + os.urandom(8).hex()  # nobody bears it
        if _GROUP.fullmatch(cgroup) and os.path.normpath(cgroup) == cgroup and cgroup.endswith(mark):
            group = Cgroup(cgroup)
            if os.path.exists(f"{cgroup}/cgroup.events"):
                return Cell(site.name, mark, group, self._emptying)
        return Room(site.name, mark)

    def made(self, mark: str) -> bool:
        """Whether a mark is of this daemon or of an earlier one."""
        return bool(_MARK.fullmatch(mark)) and mark.startswith(self._ours)

    def limit(self, room: Room, site: Site) -> None:
        """Set how much memory all that live in a room may use together, where the kernel can count it."""
        if not site.memory_max or not isinstance(room, Cell) or not self.base:
            return
        if self._memory is None:
            self._memory = Controller("memory", self.base)
        if not self._memory.is_there:
            return
        try:
            room.group.limit("memory.max", b"%d" % site.memory_max)
        except OSError as error:
            log.warning("%s: cannot set memory_max: %s", site.name, error.strerror)

    def clear(self, keep: Collection[str]) -> None:
        """Remove groups of earlier daemons but those to ``keep``; what lives there is named and ended."""
        for path in self._groups():
            if path in keep:
                continue
            group = Cgroup(path)
            if group.is_empty():
                group.remove()
                continue
            log.warning("ending what an earlier daemon left behind: %s", kin.words(group.pids()))
            group.kill()
            self._emptying.wait(group, partial(_remove, group))

    def close(self) -> None:
        """Leave nothing behind if nothing lives."""
        self._emptying.close()
        for path in self._groups():
            Cgroup(path).remove()
        if os.path.basename(os.path.dirname(self.base)) == "linodmgr":
            for path in (self.base, os.path.dirname(self.base)):
                with contextlib.suppress(OSError):  # another daemon has rooms there
                    os.rmdir(path)

    def _groups(self) -> list[str]:
        """Return all groups that this daemon has made, and earlier ones with its runtime_dir."""
        try:
            paths = [f"{self.base}/{entry}" for entry in os.listdir(self.base)] if self.base else []
        except OSError:
            return []
        # Another daemon may have its groups beside ours: in one session of a user, in one container.
        ours = cgroups.WORKER + self._ours
        return [path for path in paths if _GROUP.fullmatch(path) and os.path.basename(path).startswith(ours)]


def _remove(group: Cgroup) -> None:
    group.remove()
