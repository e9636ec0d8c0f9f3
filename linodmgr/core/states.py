"""The vocabulary of a worker's life: goals, states, events; for effects see there. Values only.

All instants are monotonic seconds; ``math.inf`` as a deadline means never.
"""

from dataclasses import dataclass
from enum import Enum

from linodmgr.core.site import Policy


class Goal(Enum):
    """What is wanted."""

    UP = "UP"
    DOWN = "DOWN"


# What a runner may have told about the end that is to come.


@dataclass(frozen=True, slots=True)
class Silent:
    """It said nothing."""


@dataclass(frozen=True, slots=True)
class Resting:
    """The site does not use linod or has no jobs: an end with status 0 is no death."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lacking:
    """Something that the site needs is not there."""

    reason: str


@dataclass(frozen=True, slots=True)
class Remarking:
    """Words that explain the death that follows."""

    text: str


Words = Silent | Resting | Lacking | Remarking


class Hooks(Enum):
    """What is known of the runner of a starting worker; it decides how STARTING ends."""

    UNKNOWN = "no runner has connected"
    FIT = "its READY is awaited"
    NONE = "no hook fits, READY will never come"


# States: what is. Each carries exactly what is true in it.


@dataclass(frozen=True, slots=True)
class Stopped:
    """No process; ``reason`` if it is not simply that nobody wants one."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """Waits for its turn to start."""


@dataclass(frozen=True, slots=True)
class Spawning:
    """The order to spawn was given. ``paced``: it takes a start slot."""

    paced: bool


@dataclass(frozen=True, slots=True)
class Starting:
    """Alive, not yet READY. At ``due`` it settles, or is killed if its READY was awaited."""

    pid: int
    since: float
    due: float
    slot_until: float  # holds a start slot until then; -inf: it has none
    hooks: Hooks = Hooks.UNKNOWN
    words: Words = Silent()


@dataclass(frozen=True, slots=True)
class Running:
    """READY, or alive for ``settle`` seconds without a runner's word."""

    pid: int
    since: float  # of the process
    running_since: float
    ready: bool  # the runner said so
    words: Words = Silent()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Died; will be started again at ``retry_at``."""

    reason: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class Stopping:
    """Asked to stop, or killed; killed (again) if still alive at ``kill_at``.

    ``death`` is the reason if the end counts as a death, else empty; ``hung``: it was
    found hanging, and its stacks are being written until then. ``killed``: it was, and
    its end is on its way. ``why``: what it is started again for, if nobody has wished it.
    """

    pid: int
    since: float
    kill_at: float
    death: str = ""
    hung: bool = False
    killed: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """At rest by its own word; not started again unless a person wants it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Blocked:
    """Cannot be started until something changes; tried again at ``retry_at``."""

    reason: str
    retry_at: float


State = Stopped | Queued | Spawning | Starting | Running | Waiting | Stopping | Finished | Blocked


# Events: what happened, or what somebody wishes.


@dataclass(frozen=True, slots=True)
class Wanted:
    """A person, the configuration or a shutdown wants this goal. ``now``: DOWN without letting a job end."""

    goal: Goal
    now: bool = False


@dataclass(frozen=True, slots=True)
class RestartWanted:
    """It shall be UP with a new process. ``now``: without letting a job end."""

    now: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """Its turn to start has come."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """The process is there."""

    pid: int


class Remedy(Enum):
    """What helps after a spawn that was not possible."""

    BACKOFF = "a scarce resource: soon again"
    RETRY = "something is missing or in the way: again after backoff_max"
    CHANGE = "nothing, until an event says so"


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """There is no process."""

    reason: str
    remedy: Remedy


@dataclass(frozen=True, slots=True)
class Connected:
    """The runner of the worker is there."""


@dataclass(frozen=True, slots=True)
class BecameReady:
    """The runner said that the loop that runs the jobs has begun."""


@dataclass(frozen=True, slots=True)
class FoundUnhooked:
    """The runner said that no hook fits."""


@dataclass(frozen=True, slots=True)
class Said:
    """The runner explained the end that is to come."""

    words: Words


@dataclass(frozen=True, slots=True)
class Hung:
    """It does not go on: a run that takes too long, or a loop that does not go round."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outgrown:
    """It uses more memory than it may."""

    reason: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The process ended and was reaped. ``cause``: in words, such as "exited with status 1"."""

    pid: int
    status: int | None  # negative: the signal; None: nobody knows, which is a death
    cause: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was in the way of a blocked start may be gone."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline has passed."""


Event = (
    Wanted
    | RestartWanted
    | Admitted
    | Spawned
    | SpawnFailed
    | Connected
    | BecameReady
    | FoundUnhooked
    | Said
    | Hung
    | Outgrown
    | Exited
    | Cleared
    | Tick
)


@dataclass(frozen=True, slots=True)
class Worker:
    """The one background process of a site."""

    goal: Goal = Goal.DOWN
    state: State = Stopped()
    early_deaths: int = 0  # in a row
    restarts: int = 0  # after deaths, since the daemon knows it


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What ``step`` may know beside worker and event: the clock, chance, and the policy."""

    now: float
    jitter: float  # between 0 and 1
    policy: Policy
