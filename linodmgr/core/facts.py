"""What is kept of a site's past: the records of its history. Values only.

Instants are seconds since the epoch, spans seconds; unknown is None.
"""

from msgspec import Struct


class RunBegun(Struct, tag="begun", frozen=True, omit_defaults=True):
    """The begin of a run that uses up a regular time, stored before the job's body is entered."""

    job: str  # id
    name: str
    at: float
    due: float | None = None
    following: float | None = None
    caught_up: bool = False
    asked: bool = False
    mark: str = ""


class RunEnded(Struct, tag="ended", frozen=True, omit_defaults=True):
    """A run that has ended. ``quiet``: there is nothing to say but that it went well."""

    job: str  # id
    name: str
    at: float  # its begin
    outcome: str  # ok, failed, warned
    duration: float
    due: float | None = None
    error: str = ""
    trace: str = ""
    caught_up: bool = False
    asked: bool = False
    next_run: float | None = None
    quiet: bool = False
    mark: str = ""  # of a run whose end nobody saw


class RunMissed(Struct, tag="missed", frozen=True, omit_defaults=True):
    """A regular time that passed while no worker ran, and was not made up for."""

    job: str  # id
    name: str
    due: float
    next_run: float | None = None


class QuietRuns(Struct, tag="quiet", frozen=True, omit_defaults=True):
    """Quiet runs of one job that were written together: begin and duration of each."""

    job: str  # id
    name: str
    runs: list[tuple[float, float]]
    next_run: float | None = None


class KnownJob(Struct, frozen=True, omit_defaults=True):
    """What a job is called, when it is next due, and which regular times were used up and missed last."""

    id: str
    name: str
    next_run: float | None = None
    due: float | None = None
    missed: float | None = None


class KnownJobs(Struct, tag="jobs", frozen=True, omit_defaults=True):
    """Jobs that changed otherwise than by a run."""

    jobs: list[KnownJob]


class WorkerExit(Struct, tag="exit", frozen=True, omit_defaults=True):
    """An end of the worker."""

    at: float
    cause: str  # words
    uptime: float | None = None
    output: tuple[str, ...] = ()  # its last lines


Fact = RunBegun | RunEnded | RunMissed | QuietRuns | KnownJobs | WorkerExit
