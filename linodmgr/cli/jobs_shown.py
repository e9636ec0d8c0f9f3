"""How the jobs of sites are shown: which of them, rows of a table, JSON."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct

from linodmgr.cli.instants import in_words, moment
from linodmgr.cli.tables import Column, age, ago, printable, span, state_style, took
from linodmgr.protocol import JobStatus, SiteJobs

OK = "ok"
RUNNING, LONG, LATE = "running", "LONG", "late"
FAILED, MISSED, DISABLED = "FAILED", "MISSED", "DISABLED"
NO_LINOD = "does not use linod"
NO_JOBS = "no jobs"
UNKNOWN = "-"
WORDS_LIMIT = 300  # characters of a site's words in a table
SILENCE = 120.0  # seconds after which it is said how old the news of a worker are
STYLES = {
    OK: "green",
    RUNNING: "green",
    LONG: "yellow",
    LATE: "yellow",
    MISSED: "yellow",
    DISABLED: "yellow",
    FAILED: "red",
}
QUIET = (NO_LINOD, NO_JOBS, UNKNOWN)


def style(cell: str) -> str:
    """Return the style of a cell in the last column, where a reason stands for a site without an answer."""
    if cell in QUIET:
        return "dim"
    word = cell.split(" ", 1)[0].rstrip(":,")
    return STYLES.get(word) or state_style(word) or "red"


COLUMNS = (
    Column("SITE"),
    Column("JOB"),
    Column("SCHEDULE", spare=3),
    Column("LAST RUN", spare=2),
    Column("OUTCOME", spare=5),
    Column("DURATION", right=True, spare=4),
    Column("NEXT RUN", spare=1),
    Column("STATE", style=style),
)


class Told(NamedTuple):
    """What is known of one site's jobs; ``problem``: why nothing is."""

    jobs: SiteJobs
    now: datetime  # instants are shown relative to it: with many sites some were asked minutes ago
    problem: str = ""

    @property
    def site(self) -> str:
        """Its name."""
        return self.jobs.site


class Choice(NamedTuple):
    """Which jobs are shown, in which order; no states: all, no sorting: as the sites tell them."""

    states: frozenset[str] = frozenset()
    sort: str = ""  # next, last or duration


Entry = tuple[Told, JobStatus | None]  # without a job: a site that has none to show


class ShownJob(Struct, frozen=True):
    """One job in the JSON; unknown is None."""

    site: str
    id: str
    name: str
    schedule: str
    last_run: str | None
    next_run: str | None
    outcome: str | None
    duration: float | None  # seconds
    state: str | None
    enabled: bool
    why: str | None
    interval: float | None  # seconds
    at: str | None
    error: str | None = None
    running_since: str | None = None
    missed: str | None = None
    caught_up: bool = False
    live: bool = False  # told by the site's worker
    as_of: str | None = None


class Problem(Struct, frozen=True):
    """A site whose jobs are not known."""

    site: str
    reason: str


class Report(Struct, frozen=True):
    """What ``list --json`` prints. ``idle``: sites that have nothing to run, and why."""

    jobs: list[ShownJob]
    problems: list[Problem]
    idle: list[Problem]


def clean(of: SiteJobs) -> SiteJobs:
    """Return what a worker told with nothing in it that could harm a terminal, nor without end."""
    jobs = [_clean_job(job) for job in of.jobs]
    return SiteJobs(of.site, of.live, jobs, of.as_of, of.kind, of.zone, _short(of.reason), of.lost)


def _clean_job(job: JobStatus) -> JobStatus:
    # Seldom is anything to be done, and there may be a thousand of them.
    words = (job.id, job.name, job.schedule, job.at or "", job.error or "", job.why or "", job.text)
    if "".join(words).isprintable() and max(map(len, words)) <= WORDS_LIMIT:
        return job
    return msgspec.structs.replace(
        job,
        id=_short(job.id),
        name=_short(job.name),
        schedule=_short(job.schedule),
        at=None if job.at is None else _short(job.at),
        error=None if job.error is None else _short(job.error),
        why=None if job.why is None else _short(job.why),
        text=printable(job.text),
    )


def _short(text: str) -> str:
    return printable(text if len(text) <= WORDS_LIMIT else text[: WORDS_LIMIT - 1] + "…")


def chosen(sites: Iterable[Told], choice: Choice) -> list[Entry]:
    """Return what is to be shown of ``sites``; a problem is always shown."""
    entries = [entry for told in sites for entry in _entries(told, choice.states)]
    if choice.sort:
        value = ORDERS[choice.sort]
        entries.sort(key=lambda entry: math.inf if entry[1] is None else value(entry[1]))
    if choice.sort or choice.states:
        entries.sort(key=lambda entry: entry[1] is None)
    return entries


def _soonest(instant: str | None) -> float:
    return math.inf if instant is None else moment(instant).timestamp()


def _latest(instant: str | None) -> float:
    return math.inf if instant is None else -moment(instant).timestamp()


ORDERS: dict[str, Callable[[JobStatus], float]] = {  # what comes first is least, unknown comes last
    "next": lambda job: _soonest(job.next_run),
    "last": lambda job: _latest(job.last_run),
    "duration": lambda job: math.inf if job.duration is None else -job.duration,
}


def _entries(told: Told, states: frozenset[str]) -> Iterator[Entry]:
    if told.problem:
        yield told, None
        return
    for job in told.jobs.jobs:
        if not states or job.state in states:
            yield told, job
    if not told.jobs.jobs and not states:
        yield told, None


def report(entries: Sequence[Entry]) -> Report:
    """Return what ``list --json`` prints."""
    shown = Report([], [], [])
    for told, job in entries:
        if job is not None:
            shown.jobs.append(_shown(told, job))
        elif told.problem:
            shown.problems.append(Problem(told.site, told.problem))
        else:
            shown.idle.append(Problem(told.site, told.jobs.reason or NO_JOBS))
    return shown


def _shown(told: Told, job: JobStatus) -> ShownJob:
    return ShownJob(
        site=told.site,
        id=job.id,
        name=job.name,
        schedule=job.schedule,
        last_run=job.last_run,
        next_run=job.next_run,
        outcome=job.outcome,
        duration=job.duration,
        state=job.state or None,
        enabled=job.state != DISABLED,
        why=job.why,
        interval=job.interval,
        at=job.at,
        error=job.error,
        running_since=job.running_since,
        missed=job.missed,
        caught_up=job.caught_up,
        live=told.jobs.live,
        as_of=told.jobs.as_of,
    )


def rows(entries: Iterable[Entry]) -> list[list[str]]:
    """Return the rows of the table; a site without jobs has one that says why."""
    return [_row(told, job) for told, job in entries]


def _row(told: Told, job: JobStatus | None) -> list[str]:
    if job is None:
        reason = told.problem or told.jobs.reason or NO_JOBS
        return [told.site, *[UNKNOWN] * (len(COLUMNS) - 2), reason]
    return [
        told.site,
        job.name,
        job.schedule,
        last_run(told, job),
        job.outcome or UNKNOWN,
        UNKNOWN if job.duration is None else took(job.duration),
        next_run(told, job),
        state_cell(told, job),
    ]


def last_run(told: Told, job: JobStatus) -> str:
    """Return when ``job`` ran last; only a site that keeps this in its database can say never."""
    if job.last_run is not None:
        return ago(max(0.0, age(job.last_run, told.now)))
    return "never" if told.jobs.kind == "lino" else UNKNOWN


def next_run(told: Told, job: JobStatus) -> str:
    """Return when ``job`` is to run next."""
    if job.next_run is None:
        return UNKNOWN
    late = age(job.next_run, told.now)
    return ago(late) if late < 1 else f"due for {span(late)}"


def state_cell(told: Told, job: JobStatus) -> str:
    """Return the word for a job's state and in words why; also how old that is if the worker is silent."""
    cell = _state(told, job)
    if told.jobs.live and told.jobs.as_of is not None and job.running_since is None:
        silent = age(told.jobs.as_of, told.now)
        if silent > SILENCE:
            cell += f" (as of {ago(silent)})"
    return cell


def _state(told: Told, job: JobStatus) -> str:
    state = job.state or UNKNOWN
    match state:
        case "running" | "LONG" if job.running_since is not None:
            running = f"running for {span(max(0.0, age(job.running_since, told.now)))}"
            return running if state == RUNNING else f"{LONG}: {running}"
        case "FAILED" if job.error:
            return f"{FAILED}: {job.error}"
        case "DISABLED" if job.why:
            return f"{DISABLED}: {job.why}"
        case "MISSED" if job.missed is not None:
            return f"{MISSED}: {in_words(job.missed, told.jobs.zone, seconds=False)}"
        case "ok" if told.jobs.reason and not told.jobs.live:
            return told.jobs.reason
        case "ok" if job.caught_up:
            return f"{OK}, caught up"
        case _:
            return state
