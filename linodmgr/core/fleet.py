"""All workers of this host: routing of events, pacing of starts, the next deadline.

What one event costs does not grow with the number of sites, but for a logarithm.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator

from linodmgr.core.effects import Effect
from linodmgr.core.site import Policy
from linodmgr.core.states import (
    Admitted,
    Event,
    Queued,
    Spawning,
    Starting,
    Worker,
)
from linodmgr.core.worker import deadline, step

Order = tuple[str, Effect]


class Fleet:
    """The workers by site name. Holds no clock: every ``now`` is monotonic seconds."""

    def __init__(self, starts_at_once: int) -> None:
        self.starts_at_once = starts_at_once  # 0: no limit
        self._workers: dict[str, Worker] = {}
        self._policies: dict[str, Policy] = {}
        self._queue: deque[str] = deque()
        self._slots: dict[str, float] = {}  # who holds a start slot, and until when
        self._deadlines: list[tuple[float, str]] = []  # a heap; entries may be out of date

    def __iter__(self) -> Iterator[str]:
        return iter(self._workers)

    def __contains__(self, name: str) -> bool:
        return name in self._workers

    def __getitem__(self, name: str) -> Worker:
        return self._workers[name]

    def add(self, name: str, policy: Policy) -> None:
        """Take in a site, with a worker that nobody wants yet; a known one gets a new policy."""
        self._workers.setdefault(name, Worker())
        self._policies[name] = policy

    def put(self, name: str, worker: Worker) -> None:
        """Take over the worker of a site that was taken in, as it is; ``admit`` lets others go on."""
        self._workers[name] = worker
        self._note(name, Worker(), worker)

    def queued(self) -> list[str]:
        """Return who waits for a turn to start, in order."""
        waiting = dict.fromkeys(self._queue)
        return [
            name
            for name in waiting
            if name in self._workers and isinstance(self._workers[name].state, Queued)
        ]

    def remove(self, name: str) -> None:
        """Forget a site; its worker must have no process."""
        del self._workers[name], self._policies[name]
        self._slots.pop(name, None)

    def take(self, name: str, event: Event, now: float, jitter: float = 0.0) -> list[Order]:
        """Route ``event`` to its worker; return the orders to carry out, for whichever site."""
        before = self._workers[name]
        after, effects = step(before, event, now, self._policies[name], jitter)
        self._workers[name] = after
        if after is not before:
            self._note(name, before, after)
        return [(name, effect) for effect in effects] + self.admit(now)

    def admit(self, now: float) -> list[Order]:
        """Return the orders to start whoever waits in the queue and finds a free slot."""
        orders: list[Order] = []
        while self._queue and self._has_free_slot(now):
            name = self._queue.popleft()
            if name in self._workers and isinstance(self._workers[name].state, Queued):
                before = self._workers[name]
                after, effects = step(before, Admitted(), now, self._policies[name])
                self._workers[name] = after
                self._note(name, before, after)
                orders += [(name, effect) for effect in effects]
        return orders

    def deadline(self) -> float:
        """Return when something is due, in monotonic seconds; ``inf``: nothing ever."""
        while self._deadlines and not self._is_current(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        due = self._deadlines[0][0] if self._deadlines else math.inf
        if self._queue and self._slots:
            due = min(due, *self._slots.values())
        return due

    def due(self, now: float) -> list[str]:
        """Return the sites that need a Tick, earliest first."""
        names: dict[str, None] = {}
        while self._deadlines and self._deadlines[0][0] <= now:
            instant, name = heapq.heappop(self._deadlines)
            if self._is_current(instant, name):
                names[name] = None
        return list(names)

    def _is_current(self, instant: float, name: str) -> bool:
        return name in self._workers and deadline(self._workers[name]) == instant

    def _note(self, name: str, before: Worker, after: Worker) -> None:
        """Keep queue, slots and deadlines in step with what became of a worker."""
        match after.state:
            case Queued() if not isinstance(before.state, Queued):
                self._queue.append(name)
            case Spawning(paced=True):
                self._slots[name] = math.inf
            case Starting(slot_until=slot_until) if slot_until > -math.inf:
                self._slots[name] = slot_until
            case _:
                self._slots.pop(name, None)
        instant = deadline(after)
        if instant < math.inf and instant != deadline(before):
            heapq.heappush(self._deadlines, (instant, name))

    def _has_free_slot(self, now: float) -> bool:
        if self.starts_at_once == 0:
            return True
        for name in [name for name, until in self._slots.items() if until <= now]:
            del self._slots[name]
        return len(self._slots) < self.starts_at_once
