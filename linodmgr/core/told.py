"""What a site tells of its jobs, and how it is made harmless: short printable texts, finite numbers.

Instants are seconds since the epoch by the host's clock, spans seconds.
"""

import math
from dataclasses import dataclass

LAST_INSTANT = 253_402_300_799.0  # the end of the year 9999: no calendar goes further
LONGEST_SPAN = 1e9  # seconds
ID_LIMIT = 500  # characters
LINE_LIMIT = 200
ERROR_LIMIT = 300
TRACE_LIMIT = 4096
OUTCOMES = ("ok", "failed", "warned")


@dataclass(frozen=True, slots=True)
class Definition:
    """One job as its site knows it; unknown is None."""

    id: str
    name: str = ""
    schedule: str = ""  # words
    interval: float | None = None
    at: str | None = None  # time of day
    next_run: float | None = None
    last_run: float | None = None  # only where the site itself remembers it
    enabled: bool = True
    why: str = ""  # it is not enabled
    text: str = ""  # its line in `linod --list`
    durable: bool = False  # it has a time of day, or a period of an hour and more


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has begun; ``due`` is the regular time that it uses up, ``following`` the next one."""

    number: int
    job: str  # id
    at: float
    due: float | None = None
    following: float | None = None
    stored: bool = False  # its beginning has to outlive a loss of power
    caught_up: bool = False
    asked: str = ""  # the token of the wish that it fulfils
    thread: int = 0
    mark: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """The end of a run."""

    number: int
    job: str  # id
    at: float
    outcome: str  # ok, failed, warned
    duration: float
    error: str = ""
    trace: str = ""
    next_run: float | None = None


def line(text: str, limit: int = LINE_LIMIT) -> str:
    """Return ``text`` on one line, printable, of at most ``limit`` characters.

    >>> line("all\\nis lost")
    'all is lost'
    """
    text = text[:limit]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text).strip()


def tail(text: str, limit: int = TRACE_LIMIT) -> str:
    """Return the last lines of ``text``, of at most ``limit`` characters, printable."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text[-limit:])


def instant(value: float | None) -> float | None:
    """Return an instant that a calendar can show, or None."""
    return value if value is not None and 0 <= value <= LAST_INSTANT else None


def span(value: float) -> float:
    """Return a span between 0 and LONGEST_SPAN."""
    return min(max(value, 0.0), LONGEST_SPAN) if math.isfinite(value) else 0.0


def clean_definition(told: Definition) -> Definition:
    """Return what was told of a job, harmless."""
    identity = line(told.id, ID_LIMIT)
    return Definition(
        id=identity,
        name=line(told.name) or line(identity),
        schedule=line(told.schedule),
        interval=None if told.interval is None else span(told.interval),
        at=None if told.at is None else line(told.at),
        next_run=instant(told.next_run),
        last_run=instant(told.last_run),
        enabled=told.enabled,
        why=line(told.why, ERROR_LIMIT),
        text=line(told.text, ERROR_LIMIT),
        durable=told.durable,
    )


def clean_run(told: Run, wall: float) -> Run:
    """Return what was told of the begin of a run, harmless; an impossible instant is ``wall``."""
    at = instant(told.at)
    return Run(
        told.number,
        line(told.job, ID_LIMIT),
        wall if at is None else at,
        instant(told.due),
        instant(told.following),
        told.stored,
        told.caught_up,
        line(told.asked),
        told.thread,
        told.mark if len(told.mark) <= LINE_LIMIT and told.mark.isprintable() else "",
    )


def clean_end(told: End, wall: float) -> End:
    """Return what was told of the end of a run, harmless; an impossible instant is ``wall``."""
    at = instant(told.at)
    return End(
        told.number,
        line(told.job, ID_LIMIT),
        wall if at is None else at,
        told.outcome if told.outcome in OUTCOMES else "failed",
        span(told.duration),
        line(told.error, ERROR_LIMIT),
        tail(told.trace) if told.trace else "",
        instant(told.next_run),
    )
