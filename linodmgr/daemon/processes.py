"""Spawn, adopt, signal, reap. The only file that starts workers and sees them end."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from linodmgr import launch
from linodmgr.birth import boot
from linodmgr.core.site import Site
from linodmgr.core.states import Remedy
from linodmgr.daemon import kin
from linodmgr.daemon.contain import Cell, Contain, Room
from linodmgr.daemon.keep import Locks
from linodmgr.daemon.limits import Limits
from linodmgr.daemon.live import LiveWorker
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.orphans import Orphans
from linodmgr.daemon.spare import Spare
from linodmgr.daemon.spawner import Spawner
from linodmgr.daemon.spawning import SpawnError, failure
from linodmgr.daemon.starts import OnExit, Records, Start
from linodmgr.daemon.sweep import Sweep

log = logging.getLogger(__name__)

NOBODY = -1  # no process has this pid, or is in its session
PAUSE = 0.01  # seconds between two looks, if nothing but the end of somebody's child makes us look


class LinuxProcesses:
    """Real workers. Their ends are seen through pidfds, and told when nothing of them is left.

    Without control groups, the end of a worker that nobody has asked to end is told at once, so that it is
    started again at once, and what is left of it is looked for then.
    """

    def __init__(
        self,
        runner_dir: Path,
        report: Path,
        locks: Locks,
        logs: Logs,
        open_files: tuple[int, int],
        contain: Contain,
        records: Records | None = None,
    ) -> None:
        self.orphans = Orphans(self._all)
        self._contain = contain
        self._locks = locks
        self._records = records
        self._limits = Limits(open_files)
        self.spare = Spare(self.orphans.ours, contain.room, runner_dir / launch.SPARE.name)
        self._spawner = Spawner(runner_dir, report, logs, open_files, self.spare)
        self._sweep = Sweep()
        self._starts: dict[int, Start] = {}  # by pid; those whose end has not been told
        self._boot = boot()
        self._looked = 0.0  # when we last did
        self._soon: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take in what workers leave behind, from now on. In the main thread only."""
        try:
            self.orphans.begin()
        except OSError as error:
            log.warning("what workers leave behind may go unseen: %s", error)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._look_soon)

    def spawn(self, site: Site, on_exit: OnExit) -> int:
        """Return the pid of a new worker. Raises SpawnError."""
        if site.problem or site.identity is None:
            raise SpawnError(site.problem or "no user is known", Remedy.CHANGE)
        lock = self._locks.take(site.directory)
        room = self._room(site)
        try:
            process = self._spawner.spawn(site, lock, room)
            self._locks.record(lock, process.pid, room.cgroup)
        except SpawnError:
            if not self.spare.take_back(room):
                room.close()
            raise
        finally:
            os.close(lock)  # the worker has its own
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError as error:  # nobody would ever know how it ends
            room.kill()
            process.kill()
            process.wait()
            raise failure(f"watch pid {process.pid}", error) from error
        self._limits.set(site, process.pid)
        found = kin.look(process.pid)
        start = Start(
            name=site.name,
            pid=process.pid,
            started=found.started if found else 0,
            uid=site.identity.uid,
            stop_signal=site.stop_signal,
            room=room,
            pidfd=pidfd,
            on_exit=on_exit,
            process=process,
        )
        self._record(site, start)
        self._watch(start)
        return process.pid

    def adopt(self, live: LiveWorker, on_exit: OnExit, *, is_asked: bool = False) -> None:
        """Watch a worker that an earlier daemon has started; one that is our child may have ended.

        ``is_asked``: to end.

        Raises ProcessLookupError if it is gone, and OSError.
        """
        pidfd = os.pidfd_open(live.pid)
        found = kin.look(live.pid)
        is_ours = found is not None and found.parent == os.getpid()
        if found is None or found.started != live.started or (found.is_dead and not is_ours):
            os.close(pidfd)
            raise ProcessLookupError(f"pid {live.pid} is another process by now")
        site = live.site
        room = self._contain.reopen(live.cgroup, live.mark, site)
        room.pid = live.pid
        if room.cgroup and not room.holds(live.pid):  # no worker of ours has ever been there
            room = Room(site.name, live.mark)
            room.pid = live.pid
        self._contain.limit(room, site)
        self._watch(
            Start(
                name=site.name,
                pid=live.pid,
                started=live.started,
                uid=site.identity.uid if site.identity else -1,
                stop_signal=site.stop_signal,
                room=room,
                pidfd=pidfd,
                on_exit=on_exit,
                is_ours=is_ours,
                is_asked=is_asked,
                live=live,
            )
        )

    def bury(self, live: LiveWorker) -> None:
        """End what is left of a worker that ended while no daemon ran; `clear` does it for control groups."""
        if not live.cgroup:
            self._end_rest(live.site.name, live.mark, live.pid, live.started)

    def clear(self) -> None:
        """End what earlier daemons have left where no worker of ours lives, after it is said.

        A record may be gone, or be that of the next start already, while something is left of the last.
        """
        self._contain.clear({start.room.cgroup for start in self._starts.values()})
        known = {start.room.mark for start in self._all()}
        for pid in kin.processes():
            mark = kin.mark(pid)
            if self._contain.made(mark) and mark not in known and pid != os.getpid():
                known.add(mark)
                self._end_rest(kin.site(pid), mark, NOBODY, 0)

    def hand_over(self) -> list[LiveWorker]:
        """Return all workers whose end has not been told; the next daemon has to ``adopt`` them."""
        return [start.live for start in self._starts.values() if start.live is not None]

    def terminate(self, pid: int) -> None:
        """Send the stop signal to the main process only: what a job started may finish."""
        if start := self._starts.get(pid):
            start.is_asked = True
            _send(start, start.stop_signal)

    def kill(self, pid: int) -> None:
        """Send SIGKILL to the worker and to all that it has started."""
        if start := self._starts.get(pid):
            start.is_asked = start.is_killed = True
            if start.room.cgroup or not start.is_over:
                start.room.kill()
            _send(start, signal.SIGKILL)

    def room_of(self, pid: int) -> Room:
        """Return where a worker lives, until its end has been told. Raises KeyError."""
        return self._starts[pid].room

    def holders(self, directories: Collection[str]) -> Collection[int]:
        """Return who holds the lock of one of these project directories."""
        return self._locks.holders(directories)

    def close(self) -> None:
        """Know that nothing will be spawned any more; end what is left of all that was."""
        if self._soon is not None:
            self._soon.cancel()
        self.spare.close()
        self._sweep.finish()
        self.orphans.close()
        self._contain.close()

    def look(self) -> None:
        """Look for what has become ours, and whether anything is left of those that have ended."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._looked = asyncio.get_running_loop().time()
        left = self.orphans.look()
        for start in [start for start in self._starts.values() if start.is_over]:
            self._settle(start, left.get(start.room.mark, ()))
        for mark in self._sweep.starts.keys() & left.keys():
            _kill(left[mark])

    def _look_soon(self) -> None:
        """Look at what has ended; a job whose children end all the time must not keep us busy."""
        if self._soon is None:
            loop = asyncio.get_running_loop()
            self._soon = loop.call_at(max(loop.time(), self._looked + PAUSE), self.look)

    def _all(self) -> Iterable[Start]:
        return (*self._starts.values(), *self._sweep.starts.values())

    def _end_rest(self, name: str, mark: str, pid: int, started: int) -> None:
        room = Room(name, mark)
        room.pid = pid
        gone = Start(name, pid, started, -1, 0, room, -1, lambda _pid, _status: None)
        gone.is_ours, gone.is_over, gone.is_told = False, True, True
        self._sweep.add(gone, lambda: None)

    def _room(self, site: Site) -> Room:
        """Return a fresh room; a process may wait in it to become the worker."""
        if launch.changes_user(site) and (room := self.spare.lend()):
            room.name = site.name
            self._contain.limit(room, site)
            return room
        return self._contain.room(site)

    def _record(self, site: Site, start: Start) -> None:
        """Let the next daemon know of a worker; its runner still waits for our go."""
        try:
            where = os.stat(site.directory)
            start.live = LiveWorker(
                site=site,
                pid=start.pid,
                started=start.started,
                boot=self._boot,
                place=(where.st_dev, where.st_ino),
                digest=launch.digest(site),
                cgroup=start.room.cgroup,
                mark=start.room.mark,
                runner=str(self._spawner.runner_dir),
                since=asyncio.get_running_loop().time(),
            )
            if self._records is not None:
                self._records.write(start.live)
        except OSError as error:  # its lock still keeps the site from running twice
            log.warning("%s: cannot record its worker: %s", site.name, error)

    def _watch(self, start: Start) -> None:
        self._starts[start.pid] = start
        asyncio.get_running_loop().add_reader(start.pidfd, self._over, start)

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
        _say(start, [*cell.pids(), *strays])
        if is_empty:  # SIGCHLD will tell when the last of them has ended
            _kill(strays)
            return
        if not start.is_killed:
            for pid in strays:
                with contextlib.suppress(OSError):
                    cell.take(pid)
        start.is_killed = True
        cell.kill()
        _kill(strays)
        if not start.waits:
            start.waits = True
            cell.when_empty(partial(self._emptied, start))

    def _emptied(self, start: Start) -> None:
        start.waits = False
        self.look()

    def _tell(self, start: Start) -> None:
        """Tell the end of a worker."""
        if start.is_told:
            return
        start.is_told = True
        if self._records is not None:
            self._records.forget(start.name)
        try:
            start.on_exit(start.pid, start.status())
        finally:  # only now its pid may become another's
            del self._starts[start.pid]
            if start.room.mark not in self._sweep.starts:
                start.reap()
            start.room.close()


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


def _send(start: Start, number: int) -> None:
    """Send a signal to the main process, if it is still that."""
    if not start.is_over:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(start.pidfd, number)
