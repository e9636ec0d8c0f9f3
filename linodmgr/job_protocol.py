"""What the daemon says of jobs to those who ask; the frame of it all is in protocol."""

from msgspec import Struct


class JobStatus(Struct, frozen=True):
    """All that is known of one job; unknown is None."""

    id: str
    name: str
    schedule: str  # words
    state: str  # ok, running, LONG, late, FAILED, MISSED, DISABLED
    interval: float | None = None  # seconds
    at: str | None = None  # time of day
    last_run: str | None = None  # RFC 3339 UTC: when its last run began
    next_run: str | None = None  # RFC 3339 UTC
    outcome: str | None = None  # ok, failed, warned: of the last run that has ended
    duration: float | None = None  # seconds, of that run
    running_since: str | None = None  # RFC 3339 UTC
    error: str | None = None  # of the last run if it failed; one line
    why: str | None = None  # it is DISABLED
    missed: str | None = None  # RFC 3339 UTC: the regular time that was missed last
    caught_up: bool = False  # its last run made up for a missed one
    text: str = ""  # what `linod --list` prints before " (last run"


class SiteJobs(Struct, tag="site_jobs", frozen=True):
    """The jobs of one site. ``live``: its worker has told them; else they are what is kept of the past."""

    site: str
    live: bool
    jobs: list[JobStatus]
    as_of: str | None = None  # RFC 3339 UTC: the last word of the worker
    kind: str = ""  # schedule or lino
    zone: str = ""  # of the site, as in the environment variable TZ
    reason: str = ""  # why there are none: the site's state and its reason, or that no hook fits
    lost: int = 0  # reports of this worker that got lost


class JobRun(Struct, tag="job_run", frozen=True):
    """How a run that was asked for goes on."""

    site: str
    job: str  # id
    name: str
    state: str  # queued, running, ok, failed, warned
    duration: float | None = None  # seconds
    error: str = ""  # one line
    trace: str = ""
    log: str = ""  # the site's log file
    log_from: int = 0  # bytes; where it was at the last state
    log_inode: int = 0  # of that file, which may be put aside meanwhile; 0: nobody knows


class PastRun(Struct, frozen=True):
    """One run of a job, or several quiet ones in a row that were written together."""

    job: str  # id
    name: str
    started: str  # RFC 3339 UTC
    outcome: str  # ok, failed, warned, missed, unknown
    duration: float | None = None  # seconds
    due: str | None = None  # RFC 3339 UTC
    error: str = ""
    trace: str = ""
    caught_up: bool = False
    asked: bool = False  # by a person


class PastExit(Struct, frozen=True):
    """One end of a worker."""

    at: str  # RFC 3339 UTC
    cause: str  # words
    uptime: float | None = None  # seconds
    output: tuple[str, ...] = ()  # its last lines


class SiteHistory(Struct, tag="site_history", frozen=True):
    """What is kept of one site's past, oldest first."""

    site: str
    runs: list[PastRun]
    exits: list[PastExit]
