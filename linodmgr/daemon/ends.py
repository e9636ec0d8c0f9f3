"""How workers end: seen through pidfds, and told when nothing of them is left."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterable, Sequence
from functools import partial

from linodmgr.daemon import kin
from linodmgr.daemon.contain import Cell, Room
from linodmgr.daemon.orphans import Orphans
from linodmgr.daemon.starts import Records, Start
from linodmgr.daemon.sweep import Sweep

log = logging.getLogger(__name__)

PAUSE = 0.01  # seconds between two looks, if nothing but the end of somebody's child makes us look
SHARE = 0.1  # of our time that such looks may take, however many children there are
AGAIN = 1.0  # seconds until what could not be done is tried again


class Ends:
    """All workers that live, and what is left of those that do not.

    Without control groups, the end of a worker that nobody has asked to end is told at once, so that it is
    started again at once, and what is left of it is looked for then.
    """

    def __init__(self, records: Records | None) -> None:
        self.orphans = Orphans(self.all)
        self.starts: dict[int, Start] = {}  # by pid; those whose end has not been told
        self._records = records
        self._sweep = Sweep()
        self._rests_until = 0.0  # the loop's time
        self._failed: set[Start] = set()  # whose end cannot be seen to, which was said
        self._soon: asyncio.TimerHandle | None = None

    def begin(self, strangers: Iterable[int] | None) -> None:
        """Take in what workers leave behind, from now on. In the main thread only."""
        try:
            self.orphans.begin(strangers)
        except OSError as error:
            log.warning("what workers leave behind may go unseen: %s", error)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._look_soon)

    def all(self) -> Iterable[Start]:
        """Return all starts of which something may be left."""
        return (*self.starts.values(), *self._sweep.starts.values())

    def watch(self, start: Start) -> None:
        """See how a worker ends, and tell it."""
        self.starts[start.pid] = start
        asyncio.get_running_loop().add_reader(start.pidfd, self._over, start)

    def end_rest(self, name: str, mark: str, pid: int, started: int, uid: int, seen: int = 0) -> None:
        """End what is left of a start of long ago, whose main process has had this pid, as this user.

        ``seen``: a process that is left, which may be gone in a moment.
        """
        room = Room(name, mark)
        room.pid = pid
        gone = Start(name, pid, started, uid, 0, room, -1, lambda _pid, _status: None)
        gone.is_ours, gone.is_over, gone.is_told = False, True, True
        self._sweep.add(gone, lambda: None, is_of_old=True)
        if seen:
            self._sweep.look(seen)

    def look(self) -> None:
        """Look for what has become ours, and whether anything is left of those that have ended."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        loop = asyncio.get_running_loop()
        began = loop.time()
        left = self.orphans.look()
        now = loop.time()
        self._rests_until = now + max(PAUSE, (now - began) / SHARE)
        for start in [start for start in self.starts.values() if start.is_over]:
            try:
                self._settle(start, left.get(start.room.mark, ()))
            except Exception:  # one site must not keep the ends of the others from being told
                if start not in self._failed:
                    log.exception("%s: cannot see to the end of its worker", start.name)
                if not start.is_told:
                    self._failed.add(start)
                    self._look_by(loop.time() + AGAIN)
        for mark in self._sweep.starts.keys() & left.keys():
            _kill(left[mark])

    def _look_soon(self) -> None:
        """Look at what has ended; a job whose children end all the time must not keep us busy."""
        self._look_by(max(asyncio.get_running_loop().time(), self._rests_until))

    def _look_by(self, when: float) -> None:
        """Look at the loop's time ``when``, or before."""
        if self._soon is not None and self._soon.when() <= when:
            return
        if self._soon is not None:
            self._soon.cancel()
        self._soon = asyncio.get_running_loop().call_at(when, self.look)

    def close(self) -> None:
        """End what is left of all that was; nothing will be watched any more."""
        # Thousands of ends at once would fill the pipe through which the loop hears of signals.
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
        if self._soon is not None:
            self._soon.cancel()
        self._sweep.finish()
        self.orphans.close()

    def _over(self, start: Start) -> None:
        """Take note that a main process has ended."""
        asyncio.get_running_loop().remove_reader(start.pidfd)
        os.close(start.pidfd)
        start.is_over = True
        self.look()

    def _settle(self, start: Start, strays: Sequence[int]) -> None:
        """See that nothing is left of a worker that has ended, then tell its end."""
        if isinstance(start.room, Cell):
            self._empty(start, start.room, strays)
            return
        _say(start, strays)
        _kill(strays)
        if start.is_ours:  # a zombie: its pid, and so its process group, cannot be anybody else's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(start.pid, signal.SIGKILL)
        if start.is_asked:
            if start.room.mark not in self._sweep.starts:
                self._sweep.add(start, partial(self._tell, start))
        else:
            self._sweep.add(start, start.reap)
            self._tell(start)

    def _empty(self, start: Start, cell: Cell, strays: Sequence[int]) -> None:
        is_empty = cell.is_empty()
        if is_empty and not strays:
            self._tell(start)
            return
        _say(start, list(dict.fromkeys([*cell.pids(), *strays])))
        if is_empty:  # SIGCHLD will tell when the last of them has ended
            _kill(strays)
            return
        if not start.is_killed:
            for pid in strays:
                with contextlib.suppress(OSError):
                    cell.take(pid)
        cell.kill()
        start.is_killed = True
        _kill(strays)
        if not start.waits:
            start.waits = True
            try:
                cell.when_empty(partial(self._emptied, start))
                asyncio.get_running_loop().call_later(AGAIN, self._still_waits, start)
            except OSError:
                start.waits = False
                raise

    def _still_waits(self, start: Start) -> None:
        """Say it if a worker has ended, but something that it has started hangs in the kernel."""
        if start.waits and not start.is_told:
            left = kin.words(pid for pid, _ in start.room.left())
            log.error("%s: its worker has ended, but this cannot be ended: %s", start.name, left)

    def _emptied(self, start: Start) -> None:
        start.waits = False
        self.look()

    def _tell(self, start: Start) -> None:
        """Tell the end of a worker."""
        if start.is_told:
            return
        start.is_told = True
        try:
            start.on_exit(start.pid, start.status())
        finally:  # only now its pid may become another's
            self._failed.discard(start)
            if self._records is not None and not self._has_successor(start):
                self._records.forget(start.name)
            if self.starts.get(start.pid) is start:
                del self.starts[start.pid]
            if start.room.mark not in self._sweep.starts:
                start.reap()
            start.room.close()

    def _has_successor(self, start: Start) -> bool:
        """Whether the record of the site is that of its next worker by now."""
        return any(one.name == start.name and one is not start for one in self.starts.values())


def _say(start: Start, pids: Sequence[int]) -> None:
    """Say once who is left of a worker that has ended by itself."""
    if pids and not start.is_said and not start.is_killed:
        start.is_said = True
        log.info("%s: ending what its worker left behind: %s", start.name, kin.words(pids))


def _kill(children: Iterable[int]) -> None:
    """Kill children of ours, which nobody reaps but we."""
    for pid in children:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
