"""Takes over the workers that an earlier daemon has left alive, before anything is started."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from linodmgr import birth, launch, strangers
from linodmgr.core.plan import plan
from linodmgr.core.site import Site
from linodmgr.core.states import Goal, Running, Starting, Worker
from linodmgr.daemon import kin
from linodmgr.daemon.keep import Locks
from linodmgr.daemon.live import SCARCE, LiveRecords, LiveWorker
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.processes import LinuxProcesses
from linodmgr.errors import LinodmgrError

log = logging.getLogger(__name__)

BESIDE = 64  # descriptors that a daemon needs beside those of its workers
FOR_EACH = 2  # for each worker: its process and its output
NO_SLOT = float("-inf")  # nobody's start has to wait for one that is taken over


@dataclass(frozen=True, slots=True)
class Adoption:
    """What takes part when workers are taken over."""

    records: LiveRecords
    locks: Locks
    loop: Loop
    processes: LinuxProcesses
    logs: Logs

    def adopt(self, sites: Mapping[str, Site], runner_dir: str) -> set[str]:
        """Take over all that live, those of sites that are no longer configured, too.

        Return the names of those that are not what ``sites``, the configuration, wants: they run and
        have to be replaced. Everything that an earlier daemon has left and that is no worker is ended.

        Raises LinodmgrError or OSError if it cannot be seen who lives; nobody was taken for dead then.
        """
        _make_sure_of_descriptors(BESIDE)
        found, problems = self.records.read()
        _make_sure_of_descriptors(BESIDE + FOR_EACH * len(found))
        for problem in problems:
            log.warning("%s", problem)
        boot = birth.boot()
        adopted = [live for live in found if live.boot == boot and self._take_over(live, sites)]
        kept = {live.site.name for live in adopted}
        marks = {live.mark for live in adopted}
        for live in found:
            if live.site.name not in kept:
                self.records.forget(live.site.name)
                if live.boot == boot and live.mark not in marks and _has_ended(live):
                    self.processes.bury(live)
        self.processes.clear([*sites.values(), *(live.site for live in adopted)])
        if adopted:
            log.info("took over %d live workers of an earlier daemon", len(adopted))
        outdated = {live.site.name for live in adopted if self._is_outdated(live, sites, runner_dir)}
        # Whoever is not heard would wait for ever once its pipe is full.
        mute = {
            live.site.name
            for live in adopted
            if not self.logs.attach(sites.get(live.site.name, live.site), live.uid)
        }
        for name in sorted(mute & sites.keys()):
            log.error("%s: it is started again, to hear it", name)
        return outdated | mute | self._without_lock(adopted)

    def _take_over(self, live: LiveWorker, sites: Mapping[str, Site]) -> bool:
        """Take over one worker; return whether it lives."""
        name = live.site.name
        if (other := self.loop.name_of(live.pid)) is not None:
            log.warning("%s: the record of its worker is that of %s", name, other)
            return False
        if not self._is_meant(live):
            log.warning("%s: pid %d is not its worker, as its record says", name, live.pid)
            return False
        try:
            self.processes.adopt(live, self.loop.exited)
        except OSError as error:
            if error.errno in SCARCE:
                raise
            log.info("%s: its worker (pid %d) has ended while no daemon ran", name, live.pid)
            return False
        site = sites.get(name, live.site)
        self.loop.add(site)
        worker = _worker(live, time.monotonic())
        self.loop.take_over(name, worker, live.since, _state_since(live))
        return True

    def _is_meant(self, live: LiveWorker) -> bool:
        """Whether a process bears out what its record says; one that has ended cannot contradict.

        It may have lost its environment, as setproctitle does it, or all its descriptors.
        """
        if _has_ended(live):
            return True
        if mark := kin.mark(live.pid):
            return mark == live.mark and kin.site(live.pid) == live.site.name
        return live.pid in self.locks.told(live.place)

    def _is_outdated(self, live: LiveWorker, sites: Mapping[str, Site], runner_dir: str) -> bool:
        """Whether a worker is not what would be started now."""
        name = live.site.name
        if name not in sites:
            return False
        site = sites[name]
        if site.problem or plan({name: live.site}, {name: site}).restarted:
            log.info("%s: its configuration has changed while no daemon ran", name)
            return True
        # Another version may start the same worker in other words.
        if live.runner == runner_dir and live.digest != launch.digest(site):
            log.info("%s: its virtualenv has changed while no daemon ran", name)
            return True
        try:
            where = os.stat(site.directory)
        except OSError:
            return False
        if (where.st_dev, where.st_ino) != live.place:
            log.info("%s: %s has become another directory while no daemon ran", name, site.directory)
            return True
        return False

    def _without_lock(self, adopted: Iterable[LiveWorker]) -> set[str]:
        """Return whose lock is in somebody else's hands.

        A job may have closed all descriptors: a lock that nobody holds is still the worker's.
        """
        locks = {path: live for live in adopted for path in self.locks.names([live.place])}
        own = strangers.holders_of(locks, [live.pid for live in locks.values()])
        rest = [path for path, live in locks.items() if live.pid not in own.get(path, ())]
        lost = set()
        for path, holders in strangers.holders_of(rest).items():
            live = locks[path]
            room = self.processes.room_of(live.pid)
            if others := [pid for pid in holders if pid != live.pid and not room.holds(pid)]:
                who = ", ".join(str(one) for pid in others if (one := strangers.describe(pid)))
                log.warning("%s: the lock of its worker is held by %s", live.site.name, who)
                lost.add(live.site.name)
        return lost


def keeper(loop: Loop, records: LiveRecords) -> Callable[[str], None]:
    """Return what notes in the records how the worker of a site fares, once that has changed."""

    def note(name: str) -> None:
        if name not in loop.fleet:
            return
        worker = loop.fleet[name]
        running: float | None = None
        ready = False
        match worker.state:
            case Starting(pid=pid):
                pass
            case Running(pid=pid) as state:
                running, ready = state.running_since, state.ready
            case _:
                return
        try:
            records.note(name, pid, running, ready, worker.restarts, worker.early_deaths)
        except OSError as error:
            log.warning("%s: cannot record how its worker fares: %s", name, error)

    return note


def _make_sure_of_descriptors(count: int) -> None:
    """Raise LinodmgrError unless we may open as many: who cannot be looked at would be taken for dead."""
    opened = []
    try:
        for _ in range(count):
            opened.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise LinodmgrError(
            f"cannot take over the workers that live: {error.strerror}: about {count} more are needed"
        ) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _has_ended(live: LiveWorker) -> bool:
    """Whether the process of a record lives no more; another one may have its pid."""
    found = kin.look(live.pid)
    return found is None or found.is_dead or found.started != live.started


def _worker(live: LiveWorker, now: float) -> Worker:
    """Return what a worker was when its record was written.

    One that is not RUNNING yet may have lost the daemon before it was told to go, and then ends by itself.
    """
    state: Starting | Running
    if live.running is None:
        state = Starting(live.pid, live.since, now + live.site.policy.settle, NO_SLOT)
    else:
        state = Running(live.pid, live.since, live.running, live.ready)
    return Worker(Goal.UP, state, live.early_deaths, live.restarts)


def _state_since(live: LiveWorker) -> float:
    return live.since if live.running is None else live.running
