"""Our children that we have not started: what workers leave behind becomes ours, for we are a subreaper."""

import asyncio
import contextlib
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterable

from linodmgr.daemon import kin, libc
from linodmgr.daemon.groups import end_group
from linodmgr.daemon.starts import Start

log = logging.getLogger(__name__)

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
GRACE = 1.0  # seconds in which whoever has just started a child says so in ``ours``
PASSES = 20  # at once; then others have their turn
FINAL_PASSES = 200
CLEAN_PASSES = 5  # in a row: the kernel may leave out a child while another one ends
ENDS_WITHIN = 1.0  # seconds, after SIGKILL


class Orphans:
    """Finds out which start they belong to. Those of a live one are put into its room, others are ended."""

    def __init__(self, starts: Callable[[], Iterable[Start]]) -> None:
        self.ours: set[int] = set()  # children that somebody else in the daemon waits for
        self._starts = starts  # all that are not over yet with everything they started
        self._strangers: set[int] = set()  # that whoever executed us had started
        self._accepted: set[int] = set()  # who have been looked at, and may live
        self._suspects: dict[int, float] = {}  # nobody knows whose they are, since when: monotonic
        self._timer: asyncio.TimerHandle | None = None
        self._is_subreaper = False
        self._our_mark = ""  # if we are ourselves what a worker of another daemon has started

    def begin(self, strangers: Iterable[int] | None = None) -> None:
        """Become the parent of all whose parent ends. Raises OSError.

        ``strangers``: those of an earlier daemon in this very process; else, all children of now are.
        """
        if libc.call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError("cannot become a child subreaper")
        children = set(kin.children())
        self._strangers = children if strangers is None else children.intersection(strangers)
        self._our_mark = kin.mark(os.getpid())
        self._is_subreaper = True

    def look(self) -> dict[str, list[int]]:
        """Return who lives of starts that are over, by the mark of the start; reap the dead."""
        if not self._is_subreaper:
            return {}
        for _ in range(PASSES):
            left, is_sure = self._pass()
            if is_sure or not any(start.is_over for start in self._starts()):
                break
        self._suspects = {
            pid: since for pid, since in self._suspects.items() if os.path.exists(f"/proc/{pid}")
        }
        self._look_again()
        return left

    def hand_over(self) -> list[int]:
        """Return the children that are none of ours, for the next daemon."""
        return sorted(self._strangers)

    def close(self) -> None:
        """End whoever is left now that no worker is."""
        if self._timer is not None:
            self._timer.cancel()
        clean = 0
        for _ in range(FINAL_PASSES if self._is_subreaper else 0):
            unknown = [pid for pid in kin.children() if pid not in self.ours | self._strangers]
            clean = 0 if unknown else clean + 1
            if clean == CLEAN_PASSES:
                return
            for pid in unknown:
                _end(pid)
                _reap(pid, ENDS_WITHIN)

    def _pass(self) -> tuple[dict[str, list[int]], bool]:
        """Look once; whether that is all: one that has just died may have left others to us."""
        starts = list(self._starts())
        known = {start.pid for start in starts if start.is_ours}
        left: dict[str, list[int]] = {}
        is_sure = True
        children = kin.children()
        unknown = [pid for pid in children if pid not in known and pid not in self.ours]
        halted: set[int] = set()
        if unknown and any(start.is_over for start in starts):
            halted = self._halt(unknown)
        by_mark = {start.room.mark: start for start in starts} if unknown else {}
        self._strangers.intersection_update(children)
        self._accepted.intersection_update(children)
        for pid in unknown:
            found = kin.look(pid)
            if found is None:
                continue
            start, mark = _start_of(found, by_mark)
            if found.is_dead:
                if (start or mark or pid in self._strangers or self._is_old(pid)) and _reap(pid, 0.0):
                    is_sure = False
            elif start is not None and start.is_over:
                left.setdefault(start.room.mark, []).append(pid)
            elif start is None and self._is_unwanted(found, mark, starts):
                log.warning("ending what somebody left behind: %s", kin.words([pid]))
                _end(pid)
            else:
                if start is not None:
                    _settle(pid, start)
                if pid in halted:
                    os.kill(pid, signal.SIGCONT)
                self._accepted.add(pid)
        return left, is_sure

    def _halt(self, unknown: Iterable[int]) -> set[int]:
        """Stop those who are new until it is known whose they are, and return them.

        Some leave a successor and end, faster than anybody can find out about them.
        """
        new = {pid for pid in unknown if pid not in self._accepted and pid not in self._strangers}
        for pid in new:
            os.kill(pid, signal.SIGSTOP)
        return new

    def _is_unwanted(self, found: kin.Kin, mark: str, starts: Iterable[Start]) -> bool:
        """Whether a living child that belongs to no start we know shall not live."""
        if found.pid in self._strangers:
            return False
        if mark and mark != self._our_mark:
            return True
        return self._is_old(found.pid) and not _may_belong(found, starts)

    def _is_old(self, pid: int) -> bool:
        """Whether nobody has said in time that this child is known."""
        now = time.monotonic()
        return now - self._suspects.setdefault(pid, now) >= GRACE

    def _look_again(self) -> None:
        """Judge those who are new among the suspects when their time is over."""
        now = time.monotonic()
        young = [since for since in self._suspects.values() if now - since < GRACE]
        if young and self._timer is None:
            delay = max(young) + GRACE - now
            self._timer = asyncio.get_running_loop().call_later(delay, self._judge)

    def _judge(self) -> None:
        self._timer = None
        self.look()


def _start_of(found: kin.Kin, by_mark: dict[str, Start]) -> tuple[Start | None, str]:
    """Return which start a process belongs to, and the mark that it bears, known or not."""
    for start in by_mark.values():
        if found.session == start.pid:
            return start, start.room.mark
    if (mark := kin.mark(found.pid)) in by_mark:
        return by_mark[mark], mark
    for start in by_mark.values():
        if start.room.cgroup and start.room.holds(found.pid):
            return start, start.room.mark
    return None, mark


def _end(pid: int) -> None:
    """Kill a child that was not reaped yet, so that the pid is still its own, and its group."""
    if found := kin.look(pid):
        end_group(found)
    os.kill(pid, signal.SIGKILL)


def _settle(pid: int, start: Start) -> None:
    """Put a process of a live start into its room."""
    if start.room.cgroup and not start.room.holds(pid):
        with contextlib.suppress(OSError):  # it has ended
            start.room.take(pid)


def _may_belong(found: kin.Kin, starts: Iterable[Start]) -> bool:
    """Whether a live worker may have started a process that tells nothing of itself."""
    uid = kin.owner(found.pid)
    return any(not start.is_over and start.uid == uid and start.started <= found.started for start in starts)


def _reap(pid: int, seconds: float) -> bool:
    """Take note of the end of a child, within ``seconds``; return whether it has ended."""
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        if seconds:
            pidfd = os.pidfd_open(pid)
            try:
                select.select([pidfd], [], [], seconds)
            finally:
                os.close(pidfd)
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            return False
        os.waitpid(pid, os.WNOHANG)
    return True
