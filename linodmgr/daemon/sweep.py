"""Where there are no control groups: ends what is left of a start, in passes over /proc, slice by slice."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable

from linodmgr.daemon import kin
from linodmgr.daemon.groups import Owners, end_group
from linodmgr.daemon.starts import Start

log = logging.getLogger(__name__)

SLICE = 40  # processes that are looked at before something else has its turn
CLEAN_PASSES = 3  # in a row: who is another process every few milliseconds may be missed in one
NEWEST = 64  # of which as many are looked at before each slice: they may be gone when their turn comes
FINAL_PASSES = 100  # what is still there then hangs in the kernel
AGAIN = 0.5  # seconds until a pass is tried again for which there was no descriptor
AT_ONCE = 64  # whose ends are waited for at the same time, and one of each start: each costs a descriptor


class Sweep:
    """Goes over the host until a pass finds nothing of any of its starts."""

    def __init__(self) -> None:
        self.starts: dict[str, Start] = {}  # by mark
        self._done: dict[str, Callable[[], None]] = {}
        self._of_old: set[str] = set()  # marks of those that ended when nobody was there to see it
        self._proven: set[str] = set()  # of them: whose session is still that of their main process
        self._said: dict[tuple[int, int], str] = {}  # who was named, by pid and start: the mark
        self._owners = Owners()
        self._relatives: dict[int, tuple[int, str]] = {}  # pid → when it was started, and the mark
        self._left: list[int] = []  # to be looked at in this pass
        self._clean: dict[str, int] = {}  # by mark: passes in a row that have found nobody
        self._in_pass: set[str] = set()  # marks of those that were there when it began
        self._seen: set[str] = set()  # marks of those of whom this pass has found somebody to end
        self._others: dict[str, list[int]] = {}  # by mark: whom it has found and we may not end
        self._ending: dict[int, tuple[int, str]] = {}  # pid → pidfd, and the mark
        self._newest = 0  # who was the newest of all when we last looked
        self._next: asyncio.Handle | None = None

    def add(self, start: Start, done: Callable[[], None], *, is_of_old: bool = False) -> None:
        """End all that is left of ``start``, then call ``done``.

        ``is_of_old``: nobody knows since when its main process is gone, whose pid may be anybody's by now.
        """
        self.starts[start.room.mark] = start
        if is_of_old:
            self._of_old.add(start.room.mark)
        self._done[start.room.mark] = done
        self._begin_soon()

    def finish(self) -> None:
        """Do at once what is left to be done."""
        if self._next is not None:
            self._next.cancel()
        for _ in range(FINAL_PASSES):
            if not self.starts:
                return
            self._forget_pass()
            for pidfd, _ in self._ending.values():
                asyncio.get_running_loop().remove_reader(pidfd)
                os.close(pidfd)
            self._ending.clear()
            before = set(self.starts)
            try:
                self._left = sorted(kin.processes(), reverse=True)
            except OSError:  # there are no descriptors left
                continue
            while self._left:
                self._look_at_some()
            is_sure = kin.can_look()
            for mark in before:
                self._count(mark, is_sure=is_sure)
            self._owners.next_pass()

    def _begin_soon(self) -> None:
        if self._next is None and not self._left:
            self._next = asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        try:
            self._left = sorted(kin.processes(), reverse=True)
        except OSError:  # there are no descriptors left
            self._next = asyncio.get_running_loop().call_later(AGAIN, self._begin)
            return
        self._next = None
        self._in_pass = set(self.starts)
        self._forget_pass()
        self._go_on()

    def _forget_pass(self) -> None:
        self._seen.clear()
        self._others.clear()

    def _go_on(self) -> None:
        self._look_at_some()
        if self._left:
            self._next = asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self._next = None
            self._end_of_pass()

    def _end_of_pass(self) -> None:
        is_sure = kin.can_look()
        for mark in self._in_pass:
            self._count(mark, is_sure=is_sure)
        self._owners.next_pass()
        if not self.starts:
            self._relatives.clear()
            self._owners.forget()
        elif not is_sure:
            self._next = asyncio.get_running_loop().call_later(AGAIN, self._begin)
        elif self.starts.keys() - (self._in_pass & self._awaited()):
            self._begin_soon()

    def _look_at_some(self) -> None:
        self._look_at_newest()
        for pid in self._left[:SLICE]:
            self.look(pid)
        del self._left[:SLICE]

    def _look_at_newest(self) -> None:
        """Look at those who have been born since we last did.

        Who is another process every few milliseconds is seldom in a list of all that is gone through later.
        """
        before, self._newest = self._newest, kin.newest()
        first = before + 1 if 0 <= self._newest - before < NEWEST else self._newest - NEWEST + 1
        for pid in range(self._newest, max(first, 1) - 1, -1):
            with contextlib.suppress(OSError):  # most have ended, others are threads
                os.close(os.pidfd_open(pid))
                self.look(pid)

    def _awaited(self) -> set[str]:
        """Return the marks of those of whom somebody was killed and has not ended yet: he may hang."""
        return {mark for _, mark in self._ending.values()}

    def look(self, pid: int) -> None:
        """End a process if it is of one of the starts."""
        found = kin.look(pid)
        if found is None or found.is_dead or pid == os.getpid():
            return
        self._owners.note(found)
        mark = self._mark(found)
        if mark:
            self._relatives[pid] = (found.started, mark)
            self._end(found, mark)

    def _mark(self, found: kin.Kin) -> str:
        """Return which of the starts a process belongs to."""
        for mark, start in self.starts.items():
            is_known = mark not in self._of_old or mark in self._proven
            if found.session == start.pid and found.pid != start.pid and is_known and not _is_taken(start):
                return mark
        if (mark := kin.mark(found.pid)) in self.starts and self._may_bear(found, mark):
            return mark
        started, mark = self._relatives.get(found.pid, (0, ""))
        if mark in self.starts and found.started == started:
            return mark  # its main thread may have ended, and has no environment then
        started, mark = self._relatives.get(found.parent, (0, ""))
        if mark in self.starts and (parent := kin.look(found.parent)) and parent.started == started:
            return mark
        return ""

    def _may_bear(self, found: kin.Kin, mark: str) -> bool:
        """Whether to believe a mark, which anybody could give himself, or get root's programs to have."""
        if mark not in self._of_old:
            return True
        start = self.starts[mark]
        if start.uid not in (kin.owner(found.pid), 0):
            return False
        if found.session == start.pid:
            self._proven.add(mark)  # nobody else gets a pid that a session has
        return True

    def _is_of_it(self, found: kin.Kin, start: Start) -> bool:
        """Whether all in the process group of a process belong to a start."""
        if found.session in (start.pid, found.pid):
            return True
        return self._owners.is_of_one(found.group, is_strict=start.room.mark in self._of_old)

    def _end(self, found: kin.Kin, mark: str) -> None:
        if not _may_end(found.pid):
            if found.parent != os.getpid():  # of a child of ours it is said when it becomes ours
                self._others.setdefault(mark, []).append(found.pid)
            return
        start = self.starts[mark]
        if not start.is_killed and mark not in self._seen and (found.pid, found.started) not in self._said:
            self._said[found.pid, found.started] = mark
            log.info("%s: ending what its worker left behind: %s", start.name, kin.words([found.pid]))
        self._seen.add(mark)
        if self._is_of_it(found, start):
            end_group(found)
        try:
            pidfd = os.pidfd_open(found.pid)
        except OSError:
            return
        again = kin.look(found.pid)
        if again is None or again.started != found.started:
            os.close(pidfd)
            return
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except OSError:  # it has ended, or has just become another user's
            os.close(pidfd)
            return
        is_full = len(self._ending) >= AT_ONCE and mark in self._awaited()
        if is_full or found.pid in self._ending:
            os.close(pidfd)
            return
        self._ending[found.pid] = pidfd, mark
        asyncio.get_running_loop().add_reader(pidfd, self._ended, found.pid)

    def _ended(self, pid: int) -> None:
        pidfd, mark = self._ending.pop(pid)
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        if mark not in self._awaited():
            self._begin_soon()

    def _count(self, mark: str, *, is_sure: bool) -> None:
        """Know that a pass is over; the start is, too, once some have found nobody.

        ``is_sure``: it has not been for want of descriptors.
        """
        # A process may look dead while one of its threads hangs.
        is_clean = is_sure and mark not in self._seen | self._awaited()
        self._clean[mark] = self._clean.get(mark, 0) + 1 if is_clean else 0
        if self._clean[mark] < CLEAN_PASSES:
            return
        start = self.starts.pop(mark)
        del self._clean[mark]
        self._of_old.discard(mark)
        self._proven.discard(mark)
        self._said = {who: whose for who, whose in self._said.items() if whose != mark}
        if others := kin.words(self._others.get(mark, ())):  # sudo has made them root's; they hold no lock
            log.warning("%s: cannot end what its worker left behind as another user: %s", start.name, others)
        try:
            self._done.pop(mark)()
        except Exception:  # one start must not keep the others of this pass
            log.exception("%s: cannot tell the end of its worker", start.name)


def _is_taken(start: Start) -> bool:
    """Whether somebody else has the pid of a main process by now."""
    leader = kin.look(start.pid)
    return leader is not None and leader.started != start.started


def _may_end(pid: int) -> bool:
    """Whether a process may be signalled, if it is still there."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True
