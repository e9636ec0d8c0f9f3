"""Event in → core → effects out. The only caller of the core's ``take``, the only reader of the clock."""

import asyncio
import logging
import math
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone

from linodmgr.core import shown
from linodmgr.core.effects import Alert, Dump, Effect, Kill, Puzzle, Spawn, Terminate
from linodmgr.core.fleet import Fleet, Order
from linodmgr.core.never import assert_never
from linodmgr.core.site import Site
from linodmgr.core.states import (
    Blocked,
    Cleared,
    Event,
    Exited,
    Outgrown,
    Queued,
    Remedy,
    Spawned,
    SpawnFailed,
    Spawning,
    Starting,
    Stopping,
    Tick,
    Waiting,
    Worker,
)
from linodmgr.core.worker import is_failing, pid_of
from linodmgr.daemon.guard import Guard
from linodmgr.daemon.handover import HandedWorker
from linodmgr.daemon.seen import Seen
from linodmgr.daemon.spawning import Processes, SpawnError, cause
from linodmgr.daemon.values import pack

log = logging.getLogger(__name__)

Listener = Callable[[str], None]


class Loop:
    """The workers and all that happens to them, one event after the other."""

    def __init__(self, processes: Processes, starts_at_once: int) -> None:
        self.fleet = Fleet(starts_at_once)
        self.sites: dict[str, Site] = {}
        self.guard = Guard(lambda name: self.put(name, Cleared()), processes.holders)
        self.listeners: set[Listener] = set()
        # Called before an exit is an event, with pid and status; and to have stacks written.
        self.last_words: Callable[[int, int | None], None] = lambda _pid, _status: None
        self.write_stacks: Callable[[int], None] = lambda _pid: None
        self.removed: Callable[[str], None] = lambda _name: None  # a site is forgotten
        self.held: Callable[[str], str] = lambda _name: ""  # why a site must not run, whatever its goal
        self.waits_for: Callable[[str], str] = lambda _name: ""  # which jobs run now, in words
        self._processes = processes
        self._names: dict[int, str] = {}  # by pid
        self._yielding: set[str] = set()  # BLOCKED until workers of ours, on their way out, have ended
        self._seen: dict[str, Seen] = {}
        self._inbox: deque[tuple[str, Event]] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None

    def add(self, site: Site) -> None:
        """Take in a site, or its new definition."""
        self.sites[site.name] = site
        self.fleet.add(site.name, site.policy)
        self._seen.setdefault(site.name, Seen(time.monotonic()))

    def take_over(self, name: str, worker: Worker, started: float | None, state_since: float) -> None:
        """Let the worker of a site that was taken in be what it was under an earlier daemon.

        ``started``: its process, if it has one; both are monotonic. ``pace`` lets all go on.
        """
        self.fleet.put(name, worker)
        self._seen[name] = seen = Seen(state_since, started)
        seen.enter(worker.state, state_since)
        if (pid := pid_of(worker)) is not None:
            self._names[pid] = name

    def hand_over(self) -> list[HandedWorker]:
        """Return all workers for the next daemon, those that wait for their turn in order."""
        return [
            HandedWorker(
                site=self.sites[name],
                worker=pack(self.fleet[name]),
                state_since=self._seen[name].state_since,
                started=self._seen[name].started,
            )
            for name in dict.fromkeys([*self.fleet.queued(), *self.fleet])
        ]

    def remove(self, name: str) -> None:
        """Forget a site whose worker has no process."""
        self.fleet.remove(name)
        del self.sites[name], self._seen[name]
        self._yielding.discard(name)
        self.removed(name)

    def put(self, name: str, event: Event) -> None:
        """Let ``event`` happen to the worker of ``name``, and carry out what follows."""
        self.put_all([(name, event)])

    def pace(self, starts_at_once: int) -> None:
        """Let so many workers start at the same time from now on; 0: no limit."""
        self.fleet.starts_at_once = starts_at_once
        self._tick()

    def put_all(self, events: Iterable[tuple[str, Event]]) -> None:
        """Let several events happen, in order."""
        self._inbox.extend(events)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                self._take(*self._inbox.popleft())
        finally:
            self._busy = False
            self._set_timer()

    @staticmethod
    def instants() -> tuple[float, float]:
        """Return seconds since the epoch, and monotonic ones."""
        return time.time(), time.monotonic()

    def announce(self, name: str) -> None:
        """Let all listeners look at ``name``."""
        for listener in tuple(self.listeners):
            try:
                listener(name)
            except Exception:  # one listener must not keep the others from hearing
                log.exception("%s: %r could not be told", name, listener)

    def is_settled(self, name: str) -> bool:
        """Whether nothing more is to be waited for after a command."""
        worker = self.fleet[name]
        return shown.is_settled(worker) and not (isinstance(worker.state, Blocked) and name in self._yielding)

    def name_of(self, pid: int) -> str | None:
        """Return whose worker has this pid."""
        return self._names.get(pid)

    def pids(self) -> Iterator[int]:
        """The pids of all workers."""
        return iter(self._names)

    def reason(self, name: str) -> str:
        """Why the worker of ``name`` is as it is, in words; empty where its state says it all."""
        return shown.reason(self.fleet[name], time.monotonic())

    def state_since_utc(self, name: str) -> datetime:
        """When the state of ``name`` was entered."""
        return datetime.now(timezone.utc) - timedelta(seconds=self.state_age(name))

    def state_age(self, name: str) -> float:
        """Seconds since the state of ``name`` was entered."""
        return time.monotonic() - self._seen[name].state_since

    def uptime(self, name: str) -> float | None:
        """Seconds since the process of ``name`` was started, or None if it has none."""
        started = self._seen[name].started
        return None if started is None else time.monotonic() - started

    def _take(self, name: str, event: Event) -> None:
        if name not in self.fleet:
            return
        before = self.fleet[name]
        now = time.monotonic()
        try:
            orders = self.fleet.take(name, event, now, _chance())
            self._carry_out_all(orders)
            self._tell(name, before, event, now)
        except Exception:  # one event must not end the daemon
            log.exception("%s: %r in %r was not carried out", name, event, before)

    def _carry_out_all(self, orders: Iterable[Order]) -> None:
        for name, effect in orders:
            try:
                self._carry_out(name, effect)
            except Exception:  # one effect must not keep another site from its own
                log.exception("%s: %r was not carried out", name, effect)
                if isinstance(effect, Spawn):  # or it would be STARTING for ever
                    surprise = SpawnFailed("cannot start it: see the log of the daemon", Remedy.BACKOFF)
                    self._inbox.appendleft((name, surprise))

    def _carry_out(self, name: str, effect: Effect) -> None:
        match effect:
            case Spawn():
                self._inbox.appendleft((name, self._spawn(self.sites[name])))
            case Terminate(pid):
                self._processes.terminate(pid)
            case Dump(pid):
                self.write_stacks(pid)
            case Kill(pid):
                log.warning("%s: killing pid %d", name, pid)
                self._processes.kill(pid)
            case Alert(reason):
                log.error("%s: FAILING, it keeps dying early: %s", name, reason)
            case Puzzle(event):
                log.warning("%s: %r cannot have happened in %r", name, event, self.fleet[name])
            case _:
                assert_never(effect)

    def _spawn(self, site: Site) -> Spawned | SpawnFailed:
        self._yielding.discard(site.name)
        if obstacle := self.held(site.name) or self._obstacle(site):
            return SpawnFailed(obstacle, Remedy.CHANGE)
        try:
            pid = self._processes.spawn(site, self.exited)
        except SpawnError as error:
            if error.in_the_way and all(self._is_stopping(pid) for pid in error.in_the_way):
                self._yielding.add(site.name)
            self.guard.watch(site.name, error.in_the_way, is_linod=not error.is_lent)
            return SpawnFailed(error.reason, error.remedy)
        self._names[pid] = site.name
        self._seen[site.name].started = time.monotonic()
        return Spawned(pid)

    def _obstacle(self, site: Site) -> str:
        """Return which linod of others is in the way of a start, in words."""
        if self.fleet[site.name].state == Spawning(paced=False):
            return self.guard.known(site, set(self._names))  # its worker has just ended
        waiting = [
            self.sites[name] for name in self.fleet if isinstance(self.fleet[name].state, Queued | Waiting)
        ]
        return self.guard.obstacle(site, set(self._names), waiting)

    def _is_stopping(self, pid: int) -> bool:
        return pid in self._names and isinstance(self.fleet[self._names[pid]].state, Stopping)

    def exited(self, pid: int, status: int | None) -> None:
        """Let the end of a worker's process be an event."""
        self.last_words(pid, status)
        words = self.cause(self._names[pid], status)
        name = self._names.pop(pid)
        self._seen[name].started = None
        self.put(name, Exited(pid, status, words))

    def cause(self, name: str, status: int | None) -> str:
        """Return how the worker of ``name`` has just ended, in words."""
        words, pid = cause(status), pid_of(self.fleet[name])
        if pid is None or status != -signal.SIGKILL or not self._processes.room_of(pid).killed_for_memory():
            return words
        return f"{words}: no memory was left within memory_max"

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.monotonic()
        self._carry_out_all(self.fleet.admit(now))
        self.put_all([(name, Tick()) for name in self.fleet.due(now)])

    def _set_timer(self) -> None:
        """Wake up at the fleet's next deadline, or never."""
        due = self.fleet.deadline()
        if self._timer is not None:
            if self._timer.when() == due:
                return
            self._timer.cancel()
            self._timer = None
        if due < math.inf:
            self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tell(self, name: str, before: Worker, event: Event, now: float) -> None:
        """Log a change of state and tell whoever listens."""
        after = self.fleet[name]
        if isinstance(event, Exited):
            log.info("%s: %s (pid %d)", name, event.cause, event.pid)
        elif isinstance(event, Outgrown) and after is not before:
            log.warning("%s: %s: it is started again once its job has ended", name, event.reason)
        if type(before.state) is type(after.state):
            return
        if self._seen[name].enter(after.state, now):
            reason = shown.reason(after, now)
            if isinstance(after.state, Stopping) and (jobs := self.waits_for(name)):
                reason = f"waiting for {jobs}: {reason}"
            pid = f" (pid {pid_of(after)})" if isinstance(after.state, Starting) else ""
            mark = " FAILING" if isinstance(after.state, Waiting) and is_failing(after) else ""
            log.info("%s: %s%s%s%s", name, shown.word(after), mark, pid, f": {reason}" if reason else "")
        self.announce(name)


def _chance() -> float:
    """Return a number between 0 and 1; the module `random` would take 0.2 MB."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
