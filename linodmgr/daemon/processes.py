"""Spawn, adopt, signal. The only file that starts workers."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Collection, Iterable
from pathlib import Path

from linodmgr import launch
from linodmgr.birth import boot
from linodmgr.core.site import Site
from linodmgr.core.states import Remedy
from linodmgr.daemon import kin, stop_signal
from linodmgr.daemon.children import end
from linodmgr.daemon.contain import Contain, Room
from linodmgr.daemon.ends import Ends
from linodmgr.daemon.keep import Locks
from linodmgr.daemon.limits import Limits
from linodmgr.daemon.live import LiveWorker
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.spare import Spare
from linodmgr.daemon.spawner import Spawner
from linodmgr.daemon.spawning import SpawnError, failure
from linodmgr.daemon.starts import OnExit, Records, Start

log = logging.getLogger(__name__)

RECORD_AGAIN = 5.0  # seconds until what could not be written is written again
NOBODY = -1  # no process has this pid, or is in its session


class LinuxProcesses:
    """Real workers; their ends are seen, and told, by ``Ends``."""

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
        self._ends = Ends(records)
        self.orphans = self._ends.orphans
        self._contain = contain
        self._locks = locks
        self._records = records
        self._limits = Limits(open_files)
        self.spare = Spare(self.orphans.ours, contain.room, runner_dir / launch.SPARE.name)
        self._spawner = Spawner(runner_dir, report, logs, open_files, self.spare)
        self._boot = boot()

    def begin(self, strangers: Iterable[int] | None = None) -> None:
        """Take in what workers leave behind, from now on; ``strangers``: see Orphans.begin.

        In the main thread only.
        """
        self._ends.begin(strangers)

    def spawn(self, site: Site, on_exit: OnExit) -> int:
        """Return the pid of a new worker. Raises SpawnError."""
        if site.problem or site.identity is None:
            raise SpawnError(site.problem or "no user is known", Remedy.CHANGE)
        try:
            lock = self._locks.take(site.directory)
        except SpawnError as error:
            if error.is_unseen:  # whoever holds it forks and ends, faster than one can look
                self.clear([site])
            raise
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
        self._contain.limit(room, site)  # not before: the spare process may stay there for another site
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError as error:  # nobody would ever know how it ends
            with contextlib.suppress(OSError):
                room.kill()
            end(process)
            room.close()
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
        self._ends.watch(start)
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
        start = Start(
            name=site.name,
            pid=live.pid,
            started=live.started,
            uid=live.uid,
            stop_signal=site.stop_signal,
            room=room,
            pidfd=pidfd,
            on_exit=on_exit,
            is_ours=is_ours,
            is_asked=is_asked,
            live=live,
        )
        self._ends.watch(start)
        self._record_again(start)

    def bury(self, live: LiveWorker) -> None:
        """End what is left of a worker that ended while no daemon ran; `clear` does it for control groups."""
        if not live.cgroup and self._contain.made(live.mark):
            self._ends.end_rest(live.site.name, live.mark, live.pid, live.started, live.uid)

    def clear(self, sites: Iterable[Site]) -> None:
        """End what earlier daemons have left where no worker of ours lives, after it is said.

        A record may be gone, or be that of the next start already, while something is left of the last.
        Anybody can make up a mark: it is believed of processes of the user that its site in ``sites`` has.
        """
        self._contain.clear({self.spare.cgroup, *(start.room.cgroup for start in self._ends.starts.values())})
        known = {start.room.mark for start in self._ends.all()}
        uids = {site.name: site.identity.uid for site in sites if site.identity}
        for pid in sorted(kin.processes(), reverse=True):
            mark = kin.mark(pid)
            if not self._contain.made(mark) or mark in known or pid == os.getpid():
                continue
            name, owner = kin.site(pid), kin.owner(pid)
            uid = uids.get(name, owner if owner or os.geteuid() else -1)
            if uid in (owner, 0):
                known.add(mark)
                self._ends.end_rest(name, mark, NOBODY, 0, uid, seen=pid)

    def hand_over(self) -> list[LiveWorker]:
        """Return all workers whose end has not been told; the next daemon has to ``adopt`` them."""
        return [start.live for start in self._ends.starts.values() if start.live is not None]

    def terminate(self, pid: int) -> None:
        """Send the stop signal to the main process only: what a job started may finish."""
        if start := self._ends.starts.get(pid):
            start.is_asked = True
            if not start.is_over:
                with contextlib.suppress(ProcessLookupError):
                    stop_signal.send(start.pid, start.pidfd, start.stop_signal)

    def kill(self, pid: int) -> None:
        """Send SIGKILL to the worker and to all that it has started."""
        if start := self._ends.starts.get(pid):
            start.is_asked = start.is_killed = True
            if not start.is_over:  # this needs no descriptor, for which there may be none
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(start.pidfd, signal.SIGKILL)
            if start.room.cgroup or not start.is_over:
                start.room.kill()

    def room_of(self, pid: int) -> Room:
        """Return where a worker lives, until its end has been told. Raises KeyError."""
        return self._ends.starts[pid].room

    def holders(self, directories: Collection[str]) -> Collection[int]:
        """Return who holds the lock of one of these project directories."""
        return self._locks.holders(directories)

    def close(self) -> None:
        """Know that nothing will be spawned any more; end what is left of all that was."""
        self.spare.close()
        self._ends.close()
        self._contain.close()

    def _room(self, site: Site) -> Room:
        """Return a fresh room; a process may wait in it to become the worker."""
        if launch.changes_user(site) and (room := self.spare.lend()):
            room.name = site.name
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
            log.warning("%s: cannot record its worker: %s", site.name, error.strerror or error)
            asyncio.get_running_loop().call_later(RECORD_AGAIN, self._record_again, start)

    def _record_again(self, start: Start) -> None:
        """Record a worker late, unless it has ended."""
        records, live = self._records, start.live
        if records is None or live is None or start.is_over or self._ends.starts.get(start.pid) is not start:
            return
        try:
            if not records.knows(live):
                records.write(live)
        except OSError:
            asyncio.get_running_loop().call_later(RECORD_AGAIN, self._record_again, start)
