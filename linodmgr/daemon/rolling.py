"""Restarts of many sites, a few at a time: the next one when one has come to rest, whoever still listens."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from linodmgr.core.states import RestartWanted
from linodmgr.core.worker import pid_of
from linodmgr.daemon.handover import HandedRound
from linodmgr.daemon.loop import Loop


@dataclass(slots=True)
class Round:
    """What one command wants restarted: who waits, with the pid of then, and who is on its way."""

    waiting: deque[tuple[str, int | None]]
    at_once: int
    now: bool
    moving: set[str] = field(default_factory=set)


class Rolling:
    """All rounds. A site waits for its turn in one of them at most."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._rounds: list[Round] = []
        loop.listeners.add(self._changed)

    def begin(self, names: Iterable[str], at_once: int, *, now: bool = False) -> None:
        """Restart ``names`` in this order, at most ``at_once`` together. ``now``: no job may end."""
        names = list(names)
        self.forget(names)
        turns = deque((name, pid_of(self._loop.fleet[name])) for name in names)
        begun = Round(turns, at_once, now)
        self._rounds.append(begun)
        self._go_on(begun)

    def waits(self, name: str) -> bool:
        """Whether the turn of a site is still to come."""
        return any(name == waiting for one in self._rounds for waiting, _ in one.waiting)

    def forget(self, names: Iterable[str]) -> list[str]:
        """Restart these no more, if it has not begun: something else is wanted of them. Return those."""
        unwanted = [name for name in names if self.waits(name)]
        for one in self._rounds:
            one.waiting = deque(turn for turn in one.waiting if turn[0] not in unwanted)
        self._rounds = [one for one in self._rounds if one.waiting or one.moving]
        return unwanted

    def hand_over(self) -> list[HandedRound]:
        """Return what the next daemon has to go on with."""
        return [
            HandedRound(
                waiting=list(one.waiting), moving=sorted(one.moving), at_once=one.at_once, now=one.now
            )
            for one in self._rounds
        ]

    def take_over(self, rounds: Iterable[HandedRound]) -> None:
        """Go on with what an earlier daemon began; the workers are as it left them."""
        for handed in rounds:
            known = [turn for turn in handed.waiting if turn[0] in self._loop.fleet]
            moving = {name for name in handed.moving if self._is_moving(name)}
            one = Round(deque(known), max(1, handed.at_once), handed.now, moving)
            self._rounds.append(one)
            self._go_on(one)

    def _changed(self, name: str) -> None:
        for one in tuple(self._rounds):
            if name in one.moving and not self._is_moving(name):
                one.moving.discard(name)
                self._go_on(one)

    def _is_moving(self, name: str) -> bool:
        return name in self._loop.fleet and not self._loop.is_settled(name)

    def _go_on(self, one: Round) -> None:
        wishes = []
        skipped = []
        while one.waiting and len(one.moving) < one.at_once:
            name, old = one.waiting.popleft()
            pid = pid_of(self._loop.fleet[name])
            if pid is not None and pid != old:  # it has got a new process by itself
                skipped.append(name)
                continue
            one.moving.add(name)
            wishes.append((name, RestartWanted(one.now)))
        if not one.waiting and not one.moving:
            self._rounds.remove(one)
        self._loop.put_all(wishes)
        for name in skipped:
            self._loop.announce(name)
