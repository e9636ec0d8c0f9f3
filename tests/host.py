"""A host that obeys a fleet: its processes, its time, and what it can never be told to do."""

import math
from collections.abc import Iterable
from dataclasses import replace

from linodmgr.core.effects import Alert, Dump, Kill, Puzzle, Spawn, Terminate
from linodmgr.core.ending import FAILING_FROM
from linodmgr.core.fleet import Fleet, Order
from linodmgr.core.site import Policy
from linodmgr.core.states import (
    Event,
    Exited,
    Goal,
    Queued,
    Running,
    Silent,
    Spawned,
    Spawning,
    Starting,
    State,
    Stopped,
    Stopping,
    Tick,
    Wanted,
    Worker,
)


class Host:
    """A fleet, the processes that its orders have made, and who was told what."""

    def boot(self, starts_at_once: int) -> None:
        self.now = 1000.0
        self.last_pid = 100
        self.fleet = Fleet(starts_at_once)
        self.being_spawned: list[str] = []
        self.alive: dict[int, str] = {}
        self.killed: set[int] = set()
        self.told_failing: set[str] = set()

    def happens(self, name: str, event: Event, jitter: float = 0.0) -> None:
        if name in self.fleet:
            self.carry_out(self.fleet.take(name, event, self.now, jitter))
        self.told_failing = {told for told in self.told_failing if self.is_one_incident(told)}

    def carry_out(self, orders: Iterable[Order]) -> None:
        for name, effect in orders:
            match effect:
                case Spawn():
                    self.being_spawned.append(name)
                case Terminate(pid):
                    assert self.alive.get(pid) == name, "only a live process of the site is signalled"
                case Dump(pid):
                    assert self.alive.get(pid) == name, "only a live process of the site is signalled"
                case Kill(pid):
                    assert self.alive.get(pid) == name, "only a live process of the site is killed"
                    self.killed.add(pid)
                case Alert():
                    assert name not in self.told_failing, "an incident is told once"
                    self.told_failing.add(name)
                case Puzzle(event):
                    raise AssertionError(f"{event} puzzles {name} in a history that can happen")

    def is_one_incident(self, name: str) -> bool:
        return name in self.fleet and self.fleet[name].early_deaths > 0

    def the_timer_fires(self, jitter: float = 0.0) -> None:
        for name in self.fleet.due(self.now):
            self.happens(name, Tick(), jitter)
        self.carry_out(self.fleet.admit(self.now))

    def spawn(self, name: str) -> None:
        self.last_pid += 1
        self.alive[self.last_pid] = name
        self.happens(name, Spawned(self.last_pid))

    def end(self, pid: int, status: int | None, jitter: float = 0.0) -> None:
        name = self.alive.pop(pid)
        self.killed.discard(pid)
        self.happens(name, Exited(pid, status, f"exited with status {status}"), jitter)

    def is_replaced(self, policies: dict[str, Policy]) -> None:
        """The daemon is killed, and the next one takes over the processes that it finds."""
        old, self.fleet = self.fleet, Fleet(self.fleet.starts_at_once)
        self.being_spawned, self.told_failing = [], set()
        alive = {name: pid for pid, name in self.alive.items()}
        for name in old:
            before = old[name]
            self.fleet.add(name, policies[name])
            if name in alive:
                taken_over = self.recorded(before.state, policies[name])
                self.fleet.put(name, Worker(Goal.UP, taken_over, before.early_deaths, before.restarts))
                if before.early_deaths >= FAILING_FROM:
                    self.told_failing.add(name)
            self.happens(name, Wanted(before.goal))

    def recorded(self, state: State, policy: Policy) -> Starting | Running:
        """Return what the next daemon knows of a process: not that it was asked to end."""
        match state:
            case Running():
                return replace(state, words=Silent())
            case Stopping(pid=pid, since=since):
                return Running(pid, since, since, ready=True)
            case Starting(pid=pid, since=since):
                return Starting(pid, since, self.now + policy.settle, -math.inf)
            case _:
                raise AssertionError(f"{state} has no process")

    def the_killed_die(self) -> None:
        for pid in sorted(self.killed):
            self.end(pid, -9)

    def in_state(self, *states: type) -> list[str]:
        return [name for name in self.fleet if isinstance(self.fleet[name].state, states)]

    def holds_a_slot(self, name: str, at: float | None = None) -> bool:
        match self.fleet[name].state:
            case Spawning(paced):
                return paced
            case Starting(slot_until=until):
                return until > (self.now if at is None else at)
            case _:
                return False

    # How a history may end.

    def time_alone_empties_the_queue(self) -> None:
        """No process does anything any more, but slots are given up and the killed die."""
        for _ in range(50):
            while self.being_spawned:
                self.spawn(self.being_spawned.pop())
            if not self.in_state(Queued):
                return
            assert self.fleet.deadline() < math.inf, "somebody waits in the queue for ever"
            self.now = max(self.now, self.fleet.deadline())
            self.the_timer_fires()
            self.the_killed_die()
        raise AssertionError("somebody waits in the queue for ever")

    def everybody_can_be_stopped(self) -> None:
        """Even processes that heed nothing but SIGKILL."""
        for name in self.fleet:
            self.happens(name, Wanted(Goal.DOWN))
        while self.being_spawned:
            self.spawn(self.being_spawned.pop())
        for _ in range(50):
            if self.fleet.deadline() == math.inf:
                break
            self.now = max(self.now, self.fleet.deadline())
            self.the_timer_fires()
            self.the_killed_die()
        assert not self.alive
        assert all(isinstance(self.fleet[name].state, Stopped) for name in self.fleet)
