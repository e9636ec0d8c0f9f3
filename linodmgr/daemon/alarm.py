"""Deadlines of many, most of which are put off before they come: one entry each, looked at when it is due."""

import asyncio
import heapq
import math
from collections.abc import Callable

LATE = 5.0  # seconds; whoever wakes up so much later has not been running


class Alarm:
    """Calls ``look`` for a name not later than was asked for, and says whether it is much later.

    A deadline that is put off costs nothing: it is found out when the earlier one comes.
    """

    def __init__(self, look: Callable[[str, bool], None]) -> None:
        self._look = look
        self._entries: list[tuple[float, str]] = []  # a heap; those that _due does not know are void
        self._due: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def not_after(self, name: str, instant: float) -> None:
        """Look at ``name`` at ``instant`` (monotonic), or before; ``inf``: no need to."""
        if instant >= self._due.get(name, math.inf):
            return
        self._due[name] = instant
        heapq.heappush(self._entries, (instant, name))
        self._set_timer()

    def close(self) -> None:
        """Look at nobody any more."""
        self._entries.clear()
        self._due.clear()
        self._set_timer()

    def _set_timer(self) -> None:
        while self._entries and self._due.get(self._entries[0][1]) != self._entries[0][0]:
            heapq.heappop(self._entries)
        due = self._entries[0][0] if self._entries else math.inf
        if self._timer is not None:
            if self._timer.when() <= due < math.inf:
                return
            self._timer.cancel()
            self._timer = None
        if due < math.inf:
            self._timer = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        names = []
        while self._entries and self._entries[0][0] <= now:
            instant, name = heapq.heappop(self._entries)
            if self._due.get(name) == instant:
                del self._due[name]
                names.append((name, now - instant > LATE))
        for name, is_overdue in names:
            self._look(name, is_overdue)
        self._set_timer()
