"""How a worker is shown: the word for its state, and the reason in words."""

import math

from linodmgr.core.never import assert_never
from linodmgr.core.states import (
    Blocked,
    Finished,
    Goal,
    Queued,
    Running,
    Spawning,
    Starting,
    Stopped,
    Stopping,
    Waiting,
    Worker,
)


def word(worker: Worker) -> str:
    """Return the word that people read for the worker's state."""
    match worker.state:
        case Stopped():
            return "STOPPED"
        case Queued():
            return "QUEUED"
        case Spawning() | Starting():
            return "STARTING"
        case Running():
            return "RUNNING"
        case Waiting():
            return "BACKOFF"
        case Stopping():
            return "STOPPING"
        case Finished():
            return "IDLE"
        case Blocked():
            return "BLOCKED"
        case _:
            assert_never(worker.state)


def is_as_wanted(worker: Worker) -> bool:
    """Whether what is, is what is wanted."""
    if worker.goal is Goal.UP:
        return isinstance(worker.state, Running | Finished)
    return isinstance(worker.state, Stopped)


def is_settled(worker: Worker) -> bool:
    """Whether nothing more is to be waited for after a command."""
    return not isinstance(worker.state, Queued | Spawning | Starting | Stopping)


def is_at_rest(worker: Worker) -> bool:
    """Whether it has no process, nor is one about to be started."""
    return isinstance(worker.state, Stopped | Waiting | Finished | Blocked)


def reason(worker: Worker, now: float) -> str:
    """Return why the worker is as it is, or nothing where the word says it all."""
    match worker.state:
        case Stopped(reason=why) | Finished(reason=why):
            return why
        case Waiting(why, retry_at):
            return f"{why}, next try in {seconds(retry_at - now)}"
        case Blocked(why, retry_at):
            return why if retry_at == math.inf else f"{why}, next try in {seconds(retry_at - now)}"
        case Stopping(death=death, why=why) if death or why:
            return death or why
        case Stopping(killed=True):
            return "killed, its end is awaited"
        case Stopping(kill_at=kill_at):
            return f"killed in {seconds(kill_at - now)} if it is still there"
        case Queued() | Spawning() | Starting() | Running():
            return ""
        case _:
            assert_never(worker.state)


def waiting(what: str, waited: float, limit: float) -> str:
    """Return for what a stop waits, and how long already, of at most ``limit`` seconds.

    >>> waiting("checkdata", 12.1, 30.0)
    'waiting for checkdata, 12 s of 30'
    >>> waiting("", 0.2, 0.5)
    'waiting for its end, 0 s of 0.5'
    """
    return f"waiting for {what or 'its end'}, {min(waited, limit):.0f} s of {round(limit, 1):g}"


def seconds(span: float) -> str:
    """Return a span of time as people say it, in whole seconds, never less than none.

    >>> seconds(3.6)
    '4 s'
    >>> seconds(-1.0)
    '0 s'
    """
    return f"{max(0, round(span))} s"
