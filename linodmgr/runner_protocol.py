"""What a runner tells the daemon, and what it is told: typed JSON lines of at most 64 KiB.

A connection: Hello, then the daemon says Past (several) and Go, then reports until one of both
hangs up. A runner that has lost its daemon connects again, says Hello with ``resumed``, all its
jobs, the runs under way, and what has waited. Instants are seconds since the epoch by the clock
of the host, durations seconds by a clock that nobody sets.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from linodmgr.protocol import VERSION

LINE_LIMIT = 64 * 1024  # bytes of one line

Outcome = Literal["ok", "failed", "warned"]


class Hello(Struct, tag="hello", frozen=True):
    """A runner is there and waits for Go; ``resumed``: it is past that, its site runs."""

    version: int = VERSION
    python: str = ""  # of the site
    resumed: bool = False
    stacks: int = 0  # the signal that makes it write all its stacks into the log; 0: none


class Ready(Struct, tag="ready", frozen=True):
    """The loop that runs the jobs has begun."""


class Idle(Struct, tag="idle", frozen=True):
    """The site does not use linod or has no jobs; if the process then ends with 0, it is at rest."""

    reason: str


class Unhooked(Struct, tag="unhooked", frozen=True):
    """No hook fits; the site runs all the same and READY will never come."""

    reason: str


class Missing(Struct, tag="missing", frozen=True):
    """Something that the site needs is not there; once the process has ended, it is BLOCKED.

    Sent instead of waiting for Go.
    """

    reason: str


class Remark(Struct, tag="remark", frozen=True):
    """Words that explain the end that is about to come; shown as the reason of that end."""

    text: str


class ToldJob(Struct, frozen=True):
    """One job as its site knows it; unknown is None."""

    id: str
    name: str
    schedule: str  # words: "every 10 seconds"
    interval: float | None = None  # seconds
    at: str | None = None  # time of day
    next_run: float | None = None  # epoch
    last_run: float | None = None  # epoch; only where the site itself remembers it (Lino 24)
    enabled: bool = True
    why: str | None = None  # it is not enabled: the last line of what Lino says
    text: str = ""  # what `linod --list` prints before " (last run"
    durable: bool = False  # it has a time of day or a period of an hour and more


class Jobs(Struct, tag="jobs", frozen=True):
    """Jobs of the site; they may come in several lines, of which the first replaces what was known."""

    kind: str  # schedule or lino
    jobs: list[ToldJob]
    first: bool = True
    zone: str = ""  # of the site, as in the environment variable TZ


class Begun(Struct, tag="begun", frozen=True):
    """A run has begun, or is about to: ``stored`` asks for Stored before the job's body is entered.

    ``due`` is the regular time that this run uses up, ``following`` the one after it.
    """

    run: int  # counted by the runner; with its pid unique
    job: str  # id
    at: float
    due: float | None = None
    following: float | None = None
    stored: bool = False
    caught_up: bool = False  # its regular time had passed while no worker ran
    asked: str = ""  # the token of the wish that it fulfils
    thread: int = 0  # that runs it, as faulthandler names it
    mark: str = ""  # what tells this run in the site's own database


class Ended(Struct, tag="ended", frozen=True):
    """A run has ended."""

    run: int
    job: str
    at: float  # its end
    outcome: Outcome
    duration: float
    error: str = ""  # one line
    trace: str = ""  # the last 4 KiB of the traceback
    next_run: float | None = None


class Missed(Struct, tag="missed", frozen=True):
    """A regular time has passed while no worker ran, and is not caught up."""

    job: str
    due: float
    next_run: float | None = None


class Moved(Struct, tag="moved", frozen=True):
    """The next runs of jobs have changed without a run, by id: a clock was set, a job was changed."""

    next_runs: dict[str, float | None]


class Tick(Struct, tag="tick", frozen=True):
    """The loop that runs the jobs goes round; ``lost``: reports that could not be kept, so far."""

    at: float
    lost: int = 0


class Stalled(Struct, tag="stalled", frozen=True):
    """The loop that runs the jobs has ended, in a process that goes on living."""

    reason: str


class Declined(Struct, tag="declined", frozen=True):
    """A wish to run a job now cannot be fulfilled."""

    asked: str
    reason: str


class Inquiry(Struct, tag="inquiry", frozen=True):
    """Somebody who is no runner asks for the Past of the site in ``directory``; its user may."""

    directory: str
    version: int = VERSION


Report = (
    Hello
    | Ready
    | Idle
    | Unhooked
    | Missing
    | Remark
    | Jobs
    | Begun
    | Ended
    | Missed
    | Moved
    | Tick
    | Stalled
    | Declined
    | Inquiry
)


class PastJob(Struct, frozen=True):
    """What is known of a job from earlier workers; instants are epoch seconds, unknown is None."""

    id: str
    started: float | None = None  # its last run
    ended: float | None = None
    outcome: str = ""  # of the last run that has ended
    due: float | None = None  # the last regular time that was used up
    next_run: float | None = None  # the regular time after that, as told
    mark: str = ""  # of a run that was begun and whose end nobody saw: its worker has died


class Past(Struct, tag="past", frozen=True):
    """What is known from earlier workers; several lines, before Go."""

    jobs: list[PastJob]


class Go(Struct, tag="go", frozen=True):
    """The daemon has set the limits; the runner may begin."""

    version: int = VERSION
    isolate_jobs: bool = True
    catch_up: bool = True
    watchdog: float = 0.0  # seconds after which a tick is missed; 0: never


class Stored(Struct, tag="stored", frozen=True):
    """The beginning of this run would survive a loss of power."""

    run: int


class RunNow(Struct, tag="run", frozen=True):
    """A person wants this job run after the one that is running."""

    job: str
    asked: str  # token


Word = Past | Go | Stored | RunNow

_REPORT: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def decode_report(line: bytes) -> Report:
    """Return the report in ``line``. Raises ValueError if it is none."""
    return _REPORT.decode(line)
