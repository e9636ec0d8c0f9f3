"""Somebody watches jobs: is told again of each site of which something changes, not too often."""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from linodmgr.core.job_states import turns
from linodmgr.daemon.alarm import Alarm
from linodmgr.daemon.jobs import JobBook
from linodmgr.daemon.loop import Loop
from linodmgr.protocol import Answer, SiteJobs

AT_MOST_EVERY = 0.5  # seconds
MARGIN = 0.1  # seconds after a state has changed because of the time


class Listener(Protocol):
    """Whoever watches."""

    reads: asyncio.Event  # it has taken what it was told

    def answer(self, answer: Answer) -> None: ...


class Watch:
    """One who watches sites; ``names`` None: all that there are and will be."""

    def __init__(
        self,
        loop: Loop,
        book: JobBook,
        listener: Listener,
        site_jobs: Callable[[str], SiteJobs],
        names: set[str] | None,
    ) -> None:
        self._loop = loop
        self._book = book
        self._listener = listener
        self._site_jobs = site_jobs
        self._names = names
        self._changed: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[None] | None = None  # until the listener has read
        self._alarm = Alarm(lambda name, _is_overdue: self.note(name))  # states that time changes
        book.watchers.add(self.note)
        loop.listeners.add(self.note)
        for name in tuple(loop.sites):
            self._expect(name)

    def note(self, name: str) -> None:
        """Know that something of a site is new."""
        if self._names is None or name in self._names:
            self._changed.add(name)
            if self._timer is None and self._waiting is None:
                self._timer = asyncio.get_running_loop().call_later(AT_MOST_EVERY, self._tell)

    def end(self) -> None:
        """Watch no more."""
        self._book.watchers.discard(self.note)
        self._loop.listeners.discard(self.note)
        self._alarm.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._waiting is not None:
            self._waiting.cancel()

    def _tell(self) -> None:
        self._timer = None
        if not self._listener.reads.is_set():
            self._waiting = asyncio.get_running_loop().create_task(self._tell_later())
            return
        changed, self._changed = self._changed, set()
        for name in sorted(changed):
            if name in self._loop.sites:
                self._listener.answer(self._site_jobs(name))
                self._expect(name)

    async def _tell_later(self) -> None:
        await self._listener.reads.wait()
        self._waiting = None
        self._tell()

    def _expect(self, name: str) -> None:
        """Look again when time alone will have changed a state."""
        if self._names is None or name in self._names:
            wall, now = self._loop.instants()
            seconds = turns(self._book.of(name), wall, now)
            if seconds < math.inf:
                self._alarm.not_after(name, now + seconds + MARGIN)
