"""A host that obeys a fleet: its processes, its time, and what it can never be told to do."""

import math
from collections.abc import Iterable

from linodmgr.core.effects import Alert, Dump, Kill, Puzzle, Spawn, Terminate
from linodmgr.core.fleet import Fleet, Order
from linodmgr.core.states import (
    Event,
    Exited,
    Goal,
    Queued,
    Spawned,
    Spawning,
    Starting,
    Stopped,
    Tick,
    Wanted,
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

    def end(self, pid: int, status: int, jitter: float = 0.0) -> None:
        name = self.alive.pop(pid)
        self.killed.discard(pid)
        self.happens(name, Exited(pid, status, f"exited with status {status}"), jitter)

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
