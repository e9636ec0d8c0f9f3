"""What follows the end of a worker's process, or a start that was not possible."""

import math
from dataclasses import replace

from linodmgr.core.effects import Alert, Effect, Puzzle, Spawn
from linodmgr.core.never import assert_never
from linodmgr.core.site import Restart
from linodmgr.core.states import (
    Blocked,
    Circumstances,
    Exited,
    Finished,
    Goal,
    Lacking,
    Queued,
    Remarking,
    Remedy,
    Resting,
    Running,
    Silent,
    Spawning,
    Starting,
    Stopped,
    Stopping,
    Waiting,
    Worker,
)

FAILING_FROM = 5  # early deaths in a row

Outcome = tuple[Worker, tuple[Effect, ...]]


def exited(worker: Worker, event: Exited, at: Circumstances) -> Outcome:
    """Return what follows the end of the process."""
    state = worker.state
    match state:
        case Starting() | Running() | Stopping() if state.pid != event.pid:
            return worker, (Puzzle(event),)
        case Stopping() if worker.goal is Goal.DOWN:
            return replace(worker, state=Stopped(), early_deaths=0), ()
        case Stopping(death="", why=""):
            return replace(worker, state=Queued()), ()
        case Stopping(death=""):
            return _shrink(worker, state, at)
        case Stopping(hung=True):
            return _revive(worker, state, at)
        case Stopping(death=death):
            return _bury(worker, death, at, good_run=False)
        case Starting() | Running():
            return _ended_by_itself(worker, state, event, at)
        case Stopped() | Queued() | Spawning() | Waiting() | Finished() | Blocked():
            return worker, (Puzzle(event),)
        case _:
            assert_never(state)


def not_spawned(worker: Worker, reason: str, remedy: Remedy, at: Circumstances) -> Outcome:
    """Return what follows when there is no process at all."""
    match remedy:
        case Remedy.BACKOFF:
            return _back_off(worker, reason, at)
        case Remedy.RETRY:
            return replace(worker, state=Blocked(reason, at.now + at.policy.backoff_max)), ()
        case Remedy.CHANGE:
            return replace(worker, state=Blocked(reason, math.inf)), ()
        case _:
            assert_never(remedy)


def backoff(early_deaths: int, jitter: float, at_most: float) -> float:
    """Seconds to wait after the given number of early deaths in a row (1 or more).

    1, 2, 4 … up to ``at_most``, then stretched by up to half.
    """
    return min(2.0 ** min(early_deaths - 1, 30), at_most) * (1.0 + jitter / 2.0)


def _ended_by_itself(worker: Worker, state: Starting | Running, event: Exited, at: Circumstances) -> Outcome:
    reason = f"{event.cause} after {at.now - state.since:.1f} s"
    match state.words:
        case Resting(why) if event.status == 0:
            return replace(worker, state=Finished(why), early_deaths=0), ()
        case Lacking(what):
            return replace(worker, state=Blocked(what, at.now + at.policy.backoff_max)), ()
        case Remarking(text):
            reason = f"{reason}: {text}"
        case Resting() | Silent():
            pass
        case _:
            assert_never(state.words)
    match state:
        case Running(ready=True) if event.status == 0 and at.policy.restart is Restart.ON_FAILURE:
            return replace(worker, state=Stopped(reason), early_deaths=0), ()
        case Running(running_since=running_since):
            return _bury(worker, reason, at, good_run=at.now - running_since >= at.policy.good_run)
        case Starting():
            return _bury(worker, reason, at, good_run=False)
        case _:
            assert_never(state)


def _bury(worker: Worker, reason: str, at: Circumstances, *, good_run: bool) -> Outcome:
    if at.policy.restart is Restart.NEVER:
        return replace(worker, state=Stopped(reason), early_deaths=0), ()
    worker = replace(worker, restarts=worker.restarts + 1)
    if good_run:
        return replace(worker, state=Spawning(paced=False), early_deaths=0), (Spawn(),)
    return _back_off(worker, reason, at)


def _revive(worker: Worker, state: Stopping, at: Circumstances) -> Outcome:
    """Return what follows a hang: a start at once, unless it is one of many early ends."""
    good_run = at.now - state.since >= at.policy.good_run
    if good_run or worker.early_deaths + 1 >= FAILING_FROM:
        return _bury(worker, state.death, at, good_run=good_run)
    outcome = _bury(worker, state.death, at, good_run=True)
    return replace(outcome[0], early_deaths=worker.early_deaths + 1), outcome[1]


def _shrink(worker: Worker, state: Stopping, at: Circumstances) -> Outcome:
    """Return what follows when it had become too big: a start, unless it always is that early."""
    if at.now - state.since >= at.policy.good_run:
        return replace(worker, state=Queued(), early_deaths=0), ()
    if worker.early_deaths + 1 >= FAILING_FROM:
        return _back_off(worker, state.why, at)
    return replace(worker, state=Queued(), early_deaths=worker.early_deaths + 1), ()


def _back_off(worker: Worker, reason: str, at: Circumstances) -> Outcome:
    deaths = worker.early_deaths + 1
    retry_at = at.now + backoff(deaths, at.jitter, at.policy.backoff_max)
    alert = (Alert(reason),) if deaths == FAILING_FROM else ()
    return replace(worker, state=Waiting(reason, retry_at), early_deaths=deaths), alert
