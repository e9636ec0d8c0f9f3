"""A worker's life: ``step`` is the only function that changes a worker. See README, "States"."""

import math
from dataclasses import replace

from linodmgr.core.effects import Dump, Kill, Puzzle, Spawn, Terminate
from linodmgr.core.ending import FAILING_FROM, Outcome, exited, not_spawned
from linodmgr.core.never import assert_never
from linodmgr.core.site import Policy
from linodmgr.core.states import (
    Admitted,
    BecameReady,
    Blocked,
    Circumstances,
    Cleared,
    Connected,
    Event,
    Exited,
    Finished,
    FoundUnhooked,
    Goal,
    Hooks,
    Hung,
    Outgrown,
    Queued,
    RestartWanted,
    Running,
    Said,
    Spawned,
    SpawnFailed,
    Spawning,
    Starting,
    Stopped,
    Stopping,
    Tick,
    Waiting,
    Wanted,
    Worker,
)

SLOT_SECONDS = 30.0  # a start that takes longer no longer holds up the others
DUMP_SECONDS = 1.0  # for the stacks of a hanging worker, which is then killed
KILL_AGAIN_SECONDS = 1.0  # at least: what outlives a SIGKILL hangs in the kernel


def step(worker: Worker, event: Event, now: float, policy: Policy, jitter: float = 0.0) -> Outcome:
    """Return the worker after ``event`` and the effects to carry out, in order.

    ``now`` is monotonic seconds; ``jitter``, between 0 and 1, stretches a backoff delay.
    """
    at = Circumstances(now, jitter, policy)
    match event:
        case Wanted(goal, now=at_once):
            return _want_up(worker) if goal is Goal.UP else _want_down(worker, at_once, at)
        case RestartWanted(now=at_once):
            return _want_restart(worker, at_once, at)
        case Admitted() | Spawned() | SpawnFailed():
            return _spawn_step(worker, event, at)
        case Connected() | BecameReady() | FoundUnhooked() | Said():
            return _hear(worker, event, at), ()
        case Hung(reason):
            return _hang(worker, reason, at)
        case Outgrown(reason):
            return _outgrow(worker, reason, at)
        case Exited():
            return exited(worker, event, at)
        case Cleared():
            return (_queue(worker), ()) if isinstance(worker.state, Blocked) else (worker, ())
        case Tick():
            return _tick(worker, at)
        case _:
            assert_never(event)


def deadline(worker: Worker) -> float:
    """Return when the worker needs a Tick, in monotonic seconds; ``inf``: never."""
    match worker.state:
        case Stopped() | Queued() | Spawning() | Running() | Finished():
            return math.inf
        case Starting(due=due):
            return due
        case Waiting(retry_at=retry_at) | Blocked(retry_at=retry_at):
            return retry_at
        case Stopping(kill_at=kill_at):
            return kill_at
        case _:
            assert_never(worker.state)


def pid_of(worker: Worker) -> int | None:
    """Return the pid of the worker's process, or None if it has none."""
    match worker.state:
        case Starting(pid=pid) | Running(pid=pid) | Stopping(pid=pid):
            return pid
        case Stopped() | Queued() | Spawning() | Waiting() | Finished() | Blocked():
            return None
        case _:
            assert_never(worker.state)


def is_failing(worker: Worker) -> bool:
    """Whether the worker carries the mark FAILING: it keeps dying early."""
    return worker.early_deaths >= FAILING_FROM and not isinstance(worker.state, Running)


def _want_up(worker: Worker) -> Outcome:
    state = worker.state
    match state:
        case Stopped() | Waiting() | Finished() | Blocked():
            return _queue(replace(worker, goal=Goal.UP, early_deaths=0)), ()
        case Queued() | Spawning() | Starting() | Running():
            return replace(worker, goal=Goal.UP), ()
        case Stopping():  # started again once it has exited, and at once: a wish ends a backoff
            return replace(
                worker, goal=Goal.UP, state=replace(state, death="", hung=False), early_deaths=0
            ), ()
        case _:
            assert_never(state)


def _want_down(worker: Worker, at_once: bool, at: Circumstances) -> Outcome:
    worker = replace(worker, goal=Goal.DOWN)
    match worker.state:
        case Stopped() | Queued() | Waiting() | Finished() | Blocked():
            return replace(worker, state=Stopped(), early_deaths=0), ()
        case Spawning():  # decided when the process is there
            return worker, ()
        case Starting() | Running():
            return _end(worker, worker.state, at_once, at)
        case Stopping():
            return _kill(worker, worker.state, at) if at_once else (worker, ())
        case _:
            assert_never(worker.state)


def _want_restart(worker: Worker, at_once: bool, at: Circumstances) -> Outcome:
    match worker.state:
        case Starting() | Running():
            up = replace(worker, goal=Goal.UP, early_deaths=0)
            return _end(up, worker.state, at_once, at)
        case Stopping() if at_once:
            up = replace(worker, goal=Goal.UP, early_deaths=0)
            return _kill(up, replace(worker.state, death="", hung=False), at)
        case Stopped() | Queued() | Spawning() | Waiting() | Stopping() | Finished() | Blocked():
            return _want_up(worker)
        case _:
            assert_never(worker.state)


def _queue(worker: Worker) -> Worker:
    return replace(worker, state=Queued())


def _end(worker: Worker, alive: Starting | Running, at_once: bool, at: Circumstances) -> Outcome:
    stopping = Stopping(alive.pid, alive.since, at.now + at.policy.stop_timeout)
    if at_once:
        return _kill(worker, stopping, at)
    return replace(worker, state=stopping), (Terminate(alive.pid),)


def _kill(worker: Worker, ending: Stopping, at: Circumstances) -> Outcome:
    killed = replace(ending, kill_at=_kill_again_at(at), killed=True)
    return replace(worker, state=killed), (Kill(ending.pid),)


def _spawn_step(worker: Worker, event: Admitted | Spawned | SpawnFailed, at: Circumstances) -> Outcome:
    match worker.state, event:
        case Queued(), Admitted():
            return replace(worker, state=Spawning(paced=True)), (Spawn(),)
        case Spawning(paced), Spawned(pid):
            slot_until = at.now + SLOT_SECONDS if paced else -math.inf
            starting = Starting(pid, at.now, at.now + at.policy.settle, slot_until)
            if worker.goal is Goal.DOWN:
                return _end(worker, starting, False, at)
            return replace(worker, state=starting), ()
        case Spawning(), SpawnFailed(reason, remedy):
            if worker.goal is Goal.DOWN:
                return replace(worker, state=Stopped(), early_deaths=0), ()
            return not_spawned(worker, reason, remedy, at)
        case _:
            return worker, (Puzzle(event),)


def _hear(worker: Worker, event: Connected | BecameReady | FoundUnhooked | Said, at: Circumstances) -> Worker:
    """Return the worker after its runner's word; a word that comes too late changes nothing."""
    state = worker.state
    match state, event:
        case Starting(hooks=Hooks.UNKNOWN), Connected():
            ready_by = state.since + at.policy.start_timeout
            return replace(worker, state=replace(state, hooks=Hooks.FIT, due=ready_by))
        case Starting(), BecameReady():
            running = Running(state.pid, state.since, at.now, ready=True, words=state.words)
            return replace(worker, state=running)
        case Running(), BecameReady():
            return replace(worker, state=replace(state, ready=True))
        case Starting(), FoundUnhooked():
            settle_at = max(at.now, state.since + at.policy.settle)
            return replace(worker, state=replace(state, hooks=Hooks.NONE, due=settle_at))
        case Starting() | Running(), Said(words):
            return replace(worker, state=replace(state, words=words))
        case _:
            return worker


def _hang(worker: Worker, reason: str, at: Circumstances) -> Outcome:
    state = worker.state
    match state:
        case Starting() | Running():
            hung = Stopping(state.pid, state.since, at.now + DUMP_SECONDS, reason, hung=True)
            return replace(worker, state=hung), (Dump(state.pid),)
        case Stopped() | Queued() | Spawning() | Waiting() | Stopping() | Finished() | Blocked():
            return worker, ()  # known too late, or its end is on its way already
        case _:
            assert_never(state)


def _outgrow(worker: Worker, reason: str, at: Circumstances) -> Outcome:
    """Return what follows when it has become too big: a new process, once its job has ended; no death."""
    state = worker.state
    match state:
        case Starting() | Running():
            kill_at = at.now + at.policy.stop_timeout
            stopping = Stopping(state.pid, state.since, kill_at, why=reason)
            return replace(worker, state=stopping, restarts=worker.restarts + 1), (Terminate(state.pid),)
        case Stopped() | Queued() | Spawning() | Waiting() | Stopping() | Finished() | Blocked():
            return worker, ()  # known too late, or its end is on its way already
        case _:
            assert_never(state)


def _tick(worker: Worker, at: Circumstances) -> Outcome:
    if at.now < deadline(worker):
        return worker, ()
    state = worker.state
    match state:
        case Waiting() | Blocked():
            return _queue(worker), ()
        case Starting(hooks=Hooks.FIT):
            death = f"not ready after {at.now - state.since:.0f} s"
            return _kill(worker, Stopping(state.pid, state.since, at.now, death), at)
        case Starting():
            running = Running(state.pid, state.since, at.now, ready=False, words=state.words)
            return replace(worker, state=running), ()
        case Stopping():
            return _kill(worker, state, at)
        case Stopped() | Queued() | Spawning() | Running() | Finished():
            return worker, ()
        case _:
            assert_never(state)


def _kill_again_at(at: Circumstances) -> float:
    return at.now + max(at.policy.stop_timeout, KILL_AGAIN_SECONDS)
