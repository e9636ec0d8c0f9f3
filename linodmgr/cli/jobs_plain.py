"""The well-known text that ``manage.py linod --list`` prints, with the true last run of each job."""

from collections.abc import Iterable

import click

from linodmgr.cli.instants import in_words
from linodmgr.cli.jobs_shown import NO_LINOD, Told
from linodmgr.protocol import JobStatus

NEVER = "[never]"
UNKNOWN_LAST = f" (last run: {NEVER}, "


def print_all(sites: Iterable[Told]) -> None:
    """Print the text: of several sites under their names, of one without a heading."""
    sites = list(sites)
    for number, told in enumerate(sites):
        if len(sites) > 1:
            click.echo(("\n" if number else "") + f"{told.site}:")
        if told.problem:
            click.echo(f"linodmgr: cannot list {told.site}: {told.problem}", err=True)
        else:
            click.echo("\n".join(lines(told)))


def lines(told: Told) -> list[str]:
    """Return the lines for one site."""
    jobs = told.jobs
    if not jobs.jobs:
        return [
            "This site does not use linod." if jobs.reason == NO_LINOD else "This site has no scheduled jobs."
        ]
    shown = (line_live(job, jobs.zone) if jobs.live else line_listed(job, jobs.zone) for job in jobs.jobs)
    return [
        f"{len(jobs.jobs)} scheduled jobs:",
        *(f"[{number}] {line}" for number, line in enumerate(shown, 1)),
    ]


def line_live(job: JobStatus, zone: str) -> str:
    """Return the line of a job whose worker tells what comes before the instants.

    >>> job = JobStatus("1", "f", "every 10 seconds", "ok", last_run="2026-11-22T19:00:00Z")
    >>> line_live(job, "Europe/Brussels")
    'Every 10 seconds do f() (last run: 2026-11-22 20:00:00, next run: [never])'
    """
    text = job.text or f"{job.schedule[:1].upper()}{job.schedule[1:]} do {job.name}()"
    return f"{text} (last run: {_when(job.last_run, zone)}, next run: {_when(job.next_run, zone)})"


def line_listed(job: JobStatus, zone: str) -> str:
    """Return the line that a new process prints, which cannot know the last run; perhaps we do.

    >>> text = "Every 1 day at 20:00:00 do f() (last run: [never], next run: 2026-11-23 20:00:00)"
    >>> job = JobStatus("1", "f", "every day at 20:00", "ok", text=text, last_run="2026-11-22T19:00:00Z")
    >>> line_listed(job, "Europe/Brussels")
    'Every 1 day at 20:00:00 do f() (last run: 2026-11-22 20:00:00, next run: 2026-11-23 20:00:00)'
    """
    if job.last_run is None:
        return job.text
    before, found, after = job.text.rpartition(UNKNOWN_LAST)
    return f"{before} (last run: {_when(job.last_run, zone)}, {after}" if found else job.text


def _when(instant: str | None, zone: str) -> str:
    return NEVER if instant is None else in_words(instant, zone)
