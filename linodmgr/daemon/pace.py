"""Who is heard at once, and who can wait a little so that all are heard together.

A run whose beginning has to be stored waits for our answer, but not for long.
"""

import math
from collections.abc import Callable

from linodmgr.daemon.alarm import Alarm
from linodmgr.daemon.ears import Ear
from linodmgr.daemon.jobs import JobBook
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.runners import Runner

AHEAD = 1.0  # seconds before such a run is due
YOUNG = 5.0  # seconds after the loop of a worker has begun
CATCHES_UP = 2.5  # seconds, for each job that may have been missed


class Pace:
    """Decides it anew whenever such a run becomes due, or will be at another time."""

    def __init__(self, loop: Loop, book: JobBook, runner_of: Callable[[str], Runner | None]) -> None:
        self.ear = Ear()
        self._loop = loop
        self._book = book
        self._runner_of = runner_of
        self._alarm = Alarm(lambda name, _is_overdue: self.settle(name))
        book.due_changed = self.settle

    def began(self, name: str) -> None:
        """Note that the loop of a worker has begun: it may catch up what was missed."""
        if runner := self._runner_of(name):
            _, now = self._loop.instants()
            durable = sum(job.defined.durable for job in self._book.of(name).jobs.values())
            runner.young_until = now + YOUNG + CATCHES_UP * durable
            self.settle(name)

    def settle(self, name: str) -> None:
        """Decide whether a site can wait, and when to ask again."""
        runner = self._runner_of(name)
        if runner is None:
            return
        wall, now = self._loop.instants()
        due = self._book.of(name).durable_due()
        again = now + (due - AHEAD - wall) if due < math.inf else math.inf
        if now < runner.young_until:
            runner.can_wait = False
            self._alarm.not_after(name, runner.young_until)
        elif again > now:
            runner.can_wait = True
            self._alarm.not_after(name, again)
        else:
            runner.can_wait = False
        if runner.can_wait:
            runner.rest(self.ear)
        else:
            runner.wake()

    def close(self) -> None:
        """Listen to nobody."""
        self._alarm.close()
        self.ear.close()
