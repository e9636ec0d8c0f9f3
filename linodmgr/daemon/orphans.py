"""Our children that we have not started: what workers leave behind becomes ours, for we are a subreaper."""

import asyncio
import contextlib
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence

from linodmgr import cgroups
from linodmgr.daemon import kin, libc
from linodmgr.daemon.groups import end_group
from linodmgr.daemon.starts import Start

log = logging.getLogger(__name__)

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
GRACE = 1.0  # seconds in which whoever has just started a child says so in ``ours``
PASSES = 20  # at once; then others have their turn
FINAL_PASSES = 200
CLEAN_PASSES = 5  # in a row: the kernel may leave out a child while another one ends
CLOSES_WITHIN = 3.0  # seconds for all, at the end of the daemon
ENDS_WITHIN = 1.0  # seconds, after SIGKILL


class Orphans:
    """Finds out which start they belong to. Those of a live one are put into its room, others are ended."""

    def __init__(self, starts: Callable[[], Iterable[Start]]) -> None:
        self.ours: set[int] = set()  # children that somebody else in the daemon waits for
        self._starts = starts  # all that are not over yet with everything they started
        self._strangers: set[int] = set()  # that whoever executed us had started, or that we cannot end
        self._accepted: dict[int, Start] = {}  # who may live, at least until this start is over
        self._halted: set[int] = set()  # until it is known whose they are
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
        """Return who lives of starts that are over, by the mark of the start; reap the dead.

        Those in a control group are left out: it ends them all.
        """
        if not self._is_subreaper:
            return {}
        for _ in range(PASSES):
            left, is_sure = self._pass()
            if is_sure or not any(start.is_over for start in self._starts()):
                break
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
        until_all = time.monotonic() + CLOSES_WITHIN
        unknown: list[int] = []
        for _ in range(FINAL_PASSES if self._is_subreaper else 0):
            if time.monotonic() > until_all:
                log.error("cannot end what hangs in the kernel: %s", kin.words(unknown))
                return
            unknown = [pid for pid in kin.children() if pid not in self.ours | self._strangers]
            clean = 0 if unknown else clean + 1
            if clean == CLEAN_PASSES:
                return
            ending = [pid for pid in unknown if self._can_end(pid)]
            for pid in ending:
                _end(pid)
            until = time.monotonic() + ENDS_WITHIN
            for pid in ending:
                if not _reap(pid):
                    _wait(pid, until - time.monotonic())
                    _reap(pid)

    def _pass(self) -> tuple[dict[str, list[int]], bool]:
        """Look once; whether that is all: one that has just died may have left others to us."""
        starts = list(self._starts())
        unknown, is_sure = self._unknown(starts)
        is_halting = any(start.is_over for start in starts)
        self._halted = self._halt(unknown) if is_halting else set()
        whose = _Whose(starts if unknown else ())
        left: dict[str, list[int]] = {}
        for pid in unknown:
            if start := whose.group(pid):
                if _reap(pid):
                    is_sure = is_sure and _lives(start)
                else:
                    self._accept(pid, start)
            elif found := kin.look(pid):
                is_sure = self._judge(found, whose, left) and is_sure
        return left, is_sure

    def _unknown(self, starts: Iterable[Start]) -> tuple[list[int], bool]:
        """Reap those that were looked at before; return all others, and those whose start is over by now.

        There may be thousands that live as long as their worker: one system call for each is enough.
        """
        known = {start.pid for start in starts if start.is_ours}
        children = {pid: None for pid in kin.children() if pid not in known and pid not in self.ours}
        accepted, self._accepted = self._accepted, {}
        self._suspects = {
            pid: since
            for pid, since in self._suspects.items()
            if pid in children or os.path.exists(f"/proc/{pid}")
        }
        unknown: list[int] = []
        is_sure = True
        for pid in children:
            start = accepted.get(pid)
            if start is None and pid not in self._strangers:
                unknown.append(pid)
            elif _reap(pid):
                self._strangers.discard(pid)
                is_sure = is_sure and _lives(start)
            elif start is not None:
                self._accepted[pid] = start
                if start.is_over:
                    unknown.append(pid)
        return unknown, is_sure

    def _judge(self, found: kin.Kin, whose: "_Whose", left: dict[str, list[int]]) -> bool:
        """Decide about a child in no group of a start; whether it cannot have left others to us."""
        pid = found.pid
        start, mark = whose.traces(found)
        is_foreign = mark not in ("", self._our_mark)
        is_old = start is None and self._is_old(pid)
        if found.is_dead:
            return not (start or is_old or _is_adopted(found)) or not _reap(pid) or _lives(start)
        if start is not None and start.is_over:
            if self._can_end(pid, start):
                left.setdefault(start.room.mark, []).append(pid)
        elif start is not None:
            with contextlib.suppress(OSError):  # it has ended
                start.room.take(pid)
            self._accept(pid, start)
        elif is_old and not is_foreign and (host := whose.host(found)):
            self._accept(pid, host)
        elif not is_old and not is_foreign:
            self._let_go_on(pid)
        elif self._can_end(pid):
            log.warning("ending what somebody left behind: %s", kin.words([pid]))
            _end(pid)
        return True

    def _accept(self, pid: int, start: Start) -> None:
        """Let a child live as long as a start; if that is over, its group ends it."""
        self._accepted[pid] = start
        if not start.is_over:
            self._let_go_on(pid)

    def _halt(self, unknown: Iterable[int]) -> set[int]:
        """Stop those who are new until it is known whose they are, and return them.

        Some leave a successor and end, faster than anybody can find out about them.
        """
        halted = set()
        for pid in unknown:
            if pid not in self._accepted and pid not in self._suspects:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGSTOP)
                    halted.add(pid)
        return halted

    def _let_go_on(self, pid: int) -> None:
        if pid in self._halted:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)

    def _can_end(self, pid: int, start: Start | None = None) -> bool:
        """Whether we may send signals to a child. If not, nobody waits for it any more, after it is said."""
        try:
            os.kill(pid, 0)
        except PermissionError:
            name, who = (f"{start.name}: ", "its worker") if start else ("", "somebody")
            what = f"{kin.words([pid])}, which {who} left behind"
            log.warning("%scannot end %s: it runs as another user", name, what)
            self._strangers.add(pid)
            self._accepted.pop(pid, None)
            return False
        except ProcessLookupError:
            return False
        return True

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
            self._timer = asyncio.get_running_loop().call_later(delay, self._time_is_over)

    def _time_is_over(self) -> None:
        self._timer = None
        self.look()


class _Whose:
    """Tells to which start a process belongs."""

    def __init__(self, starts: Sequence[Start]) -> None:
        self._starts = starts
        groups = [start for start in starts if start.room.cgroup]
        self._by_group = {os.path.basename(start.room.cgroup): start for start in groups}
        self._by_session = {start.pid: start for start in reversed(starts)}
        self._by_mark = {start.room.mark: start for start in starts}

    def group(self, pid: int) -> Start | None:
        """Return the start in whose control group a process is, which no process can pretend."""
        names = cgroups.group_of(pid).split("/") if self._by_group else ()
        return next((self._by_group[name] for name in names if name in self._by_group), None)

    def traces(self, found: kin.Kin) -> tuple[Start | None, str]:
        """Return the start that its session or its mark tells of, and its mark, known or not."""
        if start := self._by_session.get(found.session):
            return start, start.room.mark
        mark = kin.mark(found.pid)
        return self._by_mark.get(mark), mark

    def host(self, found: kin.Kin) -> Start | None:
        """Return the start of a live worker that may have started what tells nothing of itself."""
        uid = kin.owner(found.pid)
        for start in self._starts:
            if not start.is_over and start.uid == uid and start.started <= found.started:
                return start
        return None


def _is_adopted(found: kin.Kin) -> bool:
    """Whether it cannot be that we have started a process: those stay in our session or lead their own."""
    return found.session not in (found.pid, os.getsid(0))


def _lives(start: Start | None) -> bool:
    """Whether a start is known, and not over: what its processes leave to us belongs to it as well."""
    return start is not None and not start.is_over


def _end(pid: int) -> None:
    """Kill a child that was not reaped yet, so that the pid is still its own, and its group."""
    if found := kin.look(pid):
        end_group(found)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _reap(pid: int) -> bool:
    """Take note of the end of a child; return whether it has ended."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _wait(pid: int, seconds: float) -> None:
    """Wait for the end of a child that was not reaped yet, for so long at most."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # there are no descriptors left
        return
    try:
        end = select.poll()
        end.register(pidfd, select.POLLIN)
        end.poll(max(0.0, seconds) * 1000)
    finally:
        os.close(pidfd)
