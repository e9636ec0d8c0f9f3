"""How the jobs of sites are shown: rows of a table, JSON, the well-known text."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from linodmgr.cli.gather import Answered, Outcome, Unanswered
from linodmgr.cli.listing import Listed, ListedJob
from linodmgr.cli.tables import Column, ago, span
from linodmgr.core.never import assert_never

OK = "ok"
DISABLED = "DISABLED"
RUNNING = "running"
NO_LINOD = "does not use linod"
NO_JOBS = "no jobs"
UNKNOWN = "-"
QUIET = (OK, RUNNING, NO_LINOD, NO_JOBS, UNKNOWN)


def style(state: str) -> str:
    """Return the style of a cell in the last column, where a reason stands for a site that did not answer."""
    if state in QUIET:
        return "green" if state in (OK, RUNNING) else "dim"
    return "yellow" if state.startswith(DISABLED) else "red"


COLUMNS = (
    Column("SITE"),
    Column("JOB"),
    Column("SCHEDULE", spare=1),
    Column("LAST RUN", spare=3),
    Column("NEXT RUN", spare=2),
    Column("STATE", style=style),
)


class ShownJob(Struct, frozen=True):
    """One job in the JSON; unknown is None."""

    site: str
    id: str
    name: str
    schedule: str
    last_run: datetime | None
    next_run: datetime | None
    outcome: str | None
    duration: float | None  # seconds
    state: str | None
    enabled: bool
    why: str | None
    interval: float | None  # seconds
    at: str | None


class Problem(Struct, frozen=True):
    """A site whose jobs are not known."""

    site: str
    reason: str


class Report(Struct, frozen=True):
    """What ``list --json`` prints. ``idle``: sites that have nothing to run, and why."""

    jobs: list[ShownJob]
    problems: list[Problem]
    idle: list[Problem]


def report(outcomes: Sequence[Outcome]) -> Report:
    """Return what ``list --json`` prints."""
    jobs: list[ShownJob] = []
    problems: list[Problem] = []
    idle: list[Problem] = []
    for outcome in outcomes:
        match outcome:
            case Unanswered(site, reason):
                problems.append(Problem(site.name, reason))
            case Answered(site, listed):
                jobs.extend(_shown(outcome, job) for job in listed.jobs)
                if not listed.jobs:
                    idle.append(Problem(site.name, why_idle(listed)))
            case _:
                assert_never(outcome)
    return Report(jobs, problems, idle)


def _shown(answered: Answered, job: ListedJob) -> ShownJob:
    return ShownJob(
        site=answered.site.name,
        id=job.id,
        name=job.name,
        schedule=job.schedule,
        last_run=job.last_run,
        next_run=job.next_run,
        outcome=None,
        duration=None,
        state=_state(answered, job),
        enabled=job.enabled,
        why=job.why,
        interval=job.interval,
        at=job.at,
    )


def _state(answered: Answered, job: ListedJob) -> str | None:
    if not job.enabled:
        return DISABLED
    if job.running:
        return RUNNING
    return OK if answered.site.enabled else None


def why_idle(listed: Listed) -> str:
    """Return why a site has nothing to run."""
    return NO_JOBS if listed.uses_linod else NO_LINOD


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the rows of the table; a site without jobs has one that says why.

    Instants are told relative to when the site was asked: with many sites that is minutes ago for some.
    """
    return [row for outcome in outcomes for row in _rows(outcome)]


def _rows(outcome: Outcome) -> Iterator[list[str]]:
    match outcome:
        case Unanswered(site, reason):
            yield [site.name, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, reason]
        case Answered(site, listed, now):
            for job in listed.jobs:
                yield [
                    site.name,
                    job.name,
                    job.schedule,
                    last_run(job, listed, now),
                    next_run(job, now),
                    state_cell(outcome, job),
                ]
            if not listed.jobs:
                yield [site.name, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, why_idle(listed)]
        case _:
            assert_never(outcome)


def last_run(job: ListedJob, listed: Listed, now: datetime) -> str:
    """Return when ``job`` ran last; only a site that keeps this in its database can say never."""
    if job.last_run is not None:
        return ago(max(0.0, (now - job.last_run).total_seconds()))
    return "never" if listed.kind == "lino" else UNKNOWN


def next_run(job: ListedJob, now: datetime) -> str:
    """Return when ``job`` is to run next."""
    if job.next_run is None:
        return UNKNOWN
    late = (now - job.next_run).total_seconds()
    return ago(late) if late < 1 else f"due for {span(late)}"


def state_cell(answered: Answered, job: ListedJob) -> str:
    """Return the word for a job's state, with what is known about why."""
    state = _state(answered, job)
    if state == DISABLED and job.why:
        return f"{DISABLED}: {job.why}"
    return state or UNKNOWN


def plain(listed: Listed) -> list[str]:
    """Return the lines that ``manage.py linod --list`` prints.

    >>> plain(Listed(uses_linod=False, jobs=[]))
    ['This site does not use linod.']
    >>> plain(Listed(uses_linod=True, jobs=[]))
    ['This site has no scheduled jobs.']
    >>> plain(Listed(True, [ListedJob("1", "f", "every 10 seconds", text="Every 10 seconds do f()")]))
    ['1 scheduled jobs:', '[1] Every 10 seconds do f()']
    """
    if not listed.uses_linod:
        return ["This site does not use linod."]
    if not listed.jobs:
        return ["This site has no scheduled jobs."]
    lines = (f"[{number}] {job.text}" for number, job in enumerate(listed.jobs, 1))
    return [f"{len(listed.jobs)} scheduled jobs:", *lines]
