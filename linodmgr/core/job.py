"""One job, what limits its runs, and what it is to hang. Values only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from linodmgr.core.told import Definition, Run


@dataclass(slots=True)
class Job:
    """One job and its last run; ``run`` is the one under way, since the monotonic instant ``since``."""

    defined: Definition
    told: bool = False  # by the last worker that told its jobs
    next_run: float | None = None
    started: float | None = None  # its last run
    ended: float | None = None
    outcome: str = ""  # of the last run that has ended
    duration: float | None = None
    error: str = ""
    caught_up: bool = False
    due: float | None = None  # the last regular time that was used up
    missed: float | None = None  # the last regular time that was not
    mark: str = ""  # of the last run, if nobody saw its end
    run: Run | None = None
    since: float = 0.0
    last_number: int = -1  # of the last run of this worker that has ended

    @property
    def id(self) -> str:
        """Its identity over restarts."""
        return self.defined.id

    @property
    def name(self) -> str:
        """What people call it."""
        return self.defined.name


@dataclass(frozen=True, slots=True)
class Limits:
    """When something hangs, in seconds; 0: never. ``of_job``: job_timeout by id or name."""

    watchdog: float = 0.0
    job_timeout: float = 0.0
    of_job: Mapping[str, float] = field(default_factory=dict)

    def of(self, job: Job) -> float:
        """Seconds that a run of ``job`` may take; ``inf``: as long as it likes."""
        seconds = self.of_job.get(job.id, self.of_job.get(job.name, self.job_timeout))
        return seconds or math.inf


@dataclass(frozen=True, slots=True)
class Hang:
    """Something that hung: a run of the job ``job``, or the loop itself if that is None."""

    wall: float
    text: str  # "hung for 30 s"
    job: str | None = None  # id
    thread: int = 0  # that hangs; 0: unknown
    where: str = ""  # innermost frame of the site's own code

    def words(self) -> str:
        """Return what happened, and where."""
        return f"{self.text} in {self.where}" if self.where else self.text
