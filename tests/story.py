"""A worker's life told as a story: events one after the other, then look at what became of it."""

from linodmgr.core.effects import Effect
from linodmgr.core.site import Policy
from linodmgr.core.states import (
    Admitted,
    BecameReady,
    Cleared,
    Connected,
    Event,
    Exited,
    FoundUnhooked,
    Goal,
    Hung,
    Outgrown,
    Remedy,
    RestartWanted,
    Said,
    Spawned,
    SpawnFailed,
    State,
    Tick,
    Waiting,
    Wanted,
    Words,
    Worker,
)
from linodmgr.core.worker import pid_of, step

UP, DOWN = Goal.UP, Goal.DOWN


class Story:
    """One worker; each verb is an event. ``at`` is monotonic seconds, by default that of the event before.

    ``effects`` are all effects so far, ``last`` those of the last event.
    """

    def __init__(self, policy: Policy | None = None, *, jitter: float = 0.0) -> None:
        self.policy = policy or Policy()
        self.jitter = jitter
        self.now = 0.0
        self.worker = Worker()
        self.effects: list[Effect] = []
        self.last: list[Effect] = []

    @property
    def state(self) -> State:
        return self.worker.state

    @property
    def pid(self) -> int:
        pid = pid_of(self.worker)
        assert pid is not None, f"no process in {self.state}"
        return pid

    def tell(self, event: Event, at: float | None = None) -> "Story":
        """Let ``event`` happen."""
        self.now = self.now if at is None else at
        self.worker, effects = step(self.worker, event, self.now, self.policy, self.jitter)
        self.last = list(effects)
        self.effects += effects
        return self

    def wanted(self, goal: Goal, at: float | None = None) -> "Story":
        return self.tell(Wanted(goal), at)

    def restart_wanted(self, at: float | None = None) -> "Story":
        return self.tell(RestartWanted(), at)

    def admitted(self, at: float | None = None) -> "Story":
        return self.tell(Admitted(), at)

    def spawned(self, pid: int, at: float | None = None) -> "Story":
        return self.tell(Spawned(pid), at)

    def not_spawned(self, reason: str, remedy: Remedy, at: float | None = None) -> "Story":
        return self.tell(SpawnFailed(reason, remedy), at)

    def connected(self, at: float | None = None) -> "Story":
        return self.tell(Connected(), at)

    def ready(self, at: float | None = None) -> "Story":
        return self.tell(BecameReady(), at)

    def unhooked(self, at: float | None = None) -> "Story":
        return self.tell(FoundUnhooked(), at)

    def said(self, words: Words, at: float | None = None) -> "Story":
        return self.tell(Said(words), at)

    def hung(self, reason: str = "it hung", at: float | None = None) -> "Story":
        return self.tell(Hung(reason), at)

    def outgrown(self, reason: str = "uses 600M", at: float | None = None) -> "Story":
        return self.tell(Outgrown(reason), at)

    def exited(self, status: int | None = 1, at: float | None = None) -> "Story":
        """Let its process end; ``status`` is negative for a signal, None if nobody saw it."""
        if status is None:
            return self.tell(Exited(self.pid, None, "ended, nobody saw how"), at)
        cause = f"exited with status {status}" if status >= 0 else f"ended by signal {-status}"
        return self.tell(Exited(self.pid, status, cause), at)

    def cleared(self, at: float | None = None) -> "Story":
        return self.tell(Cleared(), at)

    def clock(self, at: float) -> "Story":
        return self.tell(Tick(), at)

    # Longer passages.

    def started(self, pid: int = 100, at: float = 0.0) -> "Story":
        """Wanted UP, admitted, and there is a process."""
        return self.wanted(UP, at).admitted().spawned(pid)

    def ran(self, pid: int = 100, at: float = 0.0) -> "Story":
        """Started, and READY at the same instant."""
        return self.started(pid, at).connected().ready()

    def died_early(self, times: int) -> "Story":
        """Started and died at once, so often in a row; each time the backoff was waited for."""
        for _ in range(times):
            if not isinstance(self.state, Waiting):
                self.started(at=self.now).exited()
                continue
            self.clock(self.state.retry_at).admitted().spawned(100).exited()
        return self
