"""Since when a worker is what it is: what only people ask for."""

from dataclasses import dataclass

from linodmgr.core.states import Blocked, Queued, Spawning, State


@dataclass(slots=True)
class Seen:
    """What has been seen of one worker; instants are monotonic seconds."""

    state_since: float
    started: float | None = None  # the process
    blocked_since: float | None = None  # BLOCKED, but for tries in vain; None: it is not
    obstacle: str = ""  # what blocked it last

    def enter(self, state: State, now: float) -> bool:
        """Note that the worker has entered a state; return whether that is news to the log.

        BLOCKED again by the same, after one more try, is none.
        """
        self.state_since = now
        match state:
            case Blocked(reason=reason):
                is_news = self.blocked_since is None or reason != self.obstacle
                if self.blocked_since is not None:
                    self.state_since = self.blocked_since
                self.blocked_since, self.obstacle = self.state_since, reason
                return is_news
            case Queued():
                return self.blocked_since is None
            case Spawning():
                return False  # said with its pid in a moment
            case _:
                self.blocked_since = None
                return True
