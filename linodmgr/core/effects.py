"""What a worker's step wants done. Values only."""

from dataclasses import dataclass

from linodmgr.core.states import Event


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start the process; answer Spawned or SpawnFailed."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """Send the stop signal to the main process only."""

    pid: int


@dataclass(frozen=True, slots=True)
class Dump:
    """Make the runner write the stacks of all its threads into the site's log."""

    pid: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Send SIGKILL to the whole tree."""

    pid: int


@dataclass(frozen=True, slots=True)
class Alert:
    """Tell, once per incident, that the worker keeps dying early."""

    reason: str


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Log that ``event`` cannot have happened in this state; nothing was changed."""

    event: Event


Effect = Spawn | Terminate | Dump | Kill | Alert | Puzzle
