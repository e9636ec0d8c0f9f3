"""How a job is shown: the word for its state, and what needs attention in words."""

import math

from linodmgr.core.job import Job
from linodmgr.core.jobs import SiteJobs

LATE_FROM = 30.0  # seconds behind its regular time
LONG_FROM = 3600.0  # seconds that a run has taken
HANG_SHOWN = 3600.0  # seconds that a hang of the loop needs attention
ATTENTION_LIMIT = 20  # lines of a site


def state(job: Job, wall: float, now: float, *, live: bool) -> str:
    """Return the word that people read: ok, running, LONG, late, FAILED, MISSED, DISABLED.

    ``live``: there is a worker that should run it.
    """
    if job.run:
        return "LONG" if now - job.since > LONG_FROM else "running"
    if not job.defined.enabled:
        return "DISABLED"
    if live and job.next_run is not None and wall > job.next_run + LATE_FROM:
        return "late"
    if job.outcome == "failed":
        return "FAILED"
    if job.missed is not None and (job.started is None or job.missed > job.started):
        return "MISSED"
    return "ok"


def attention(site: SiteJobs, wall: float, now: float) -> list[str]:
    """Return a line for each job that somebody should look at, and for a loop that hung of late."""
    lines = []
    if site.hang and site.hang.job is None and 0 <= wall - site.hang.wall < HANG_SHOWN:
        lines.append(f"its loop {site.hang.words()}, {spoken(wall - site.hang.wall)} ago")
    for job in site.shown():
        match word := state(job, wall, now, live=site.live):
            case "FAILED":
                lines.append(f"{job.name} FAILED: {job.error}" if job.error else f"{job.name} FAILED")
            case "DISABLED":
                why = job.defined.why
                lines.append(f"{job.name} DISABLED: {why}" if why else f"{job.name} DISABLED")
            case "MISSED":
                lines.append(f"{job.name} MISSED: was due {spoken(wall - (job.missed or wall))} ago")
            case "late":
                lines.append(f"{job.name} late: was due {spoken(wall - (job.next_run or wall))} ago")
            case "LONG":
                lines.append(f"{job.name} LONG: has been running for {spoken(now - job.since)}")
            case _:
                assert word in ("ok", "running")
    more = len(lines) - ATTENTION_LIMIT
    return [*lines[:ATTENTION_LIMIT], f"and {more} more"] if more > 0 else lines


def turns(site: SiteJobs, wall: float, now: float) -> float:
    """Seconds until the state of a job changes because time goes by; ``inf``: never."""
    due = math.inf
    for job in site.shown() if site.live else ():
        if job.run:
            left = job.since + LONG_FROM - now
        elif job.next_run is not None:
            left = job.next_run + LATE_FROM - wall
        else:
            continue
        if 0 <= left < due:
            due = left
    return due


def spoken(seconds: float) -> str:
    """Return a span as people say it.

    >>> spoken(200)
    '3 min'
    """
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"
