"""What is kept of a site's past → what is known of its jobs."""

from collections.abc import Iterable

from linodmgr.core.facts import Fact, KnownJobs, QuietRuns, RunBegun, RunEnded, RunMissed, WorkerExit
from linodmgr.core.job import Job
from linodmgr.core.jobs import SiteJobs
from linodmgr.core.never import assert_never
from linodmgr.core.told import Definition


def remember(jobs: SiteJobs, facts: Iterable[Fact]) -> None:
    """Take in what is kept, oldest first; what is known of a job by now is newer and stays."""
    past: dict[str, Job] = {}
    for fact in facts:
        recall(past, fact)
    jobs.adopt(past.values())


def recall(past: dict[str, Job], fact: Fact) -> None:
    """Let one thing happen again."""
    match fact:
        case RunBegun():
            job = _job(past, fact.job, fact.name)
            job.started, job.ended, job.mark = fact.at, None, fact.mark
            job.caught_up = fact.caught_up
            job.due = job.due if fact.due is None else fact.due
            job.next_run = job.next_run if fact.following is None else fact.following
        case RunEnded():
            job = _job(past, fact.job, fact.name)
            job.started, job.ended, job.mark = fact.at, fact.at + fact.duration, fact.mark
            job.outcome, job.duration, job.error = fact.outcome, fact.duration, fact.error
            job.caught_up = fact.caught_up
            job.due = job.due if fact.due is None else fact.due
            job.next_run = fact.next_run
        case QuietRuns(runs=[*_, (started, duration)]):
            job = _job(past, fact.job, fact.name)
            job.started, job.ended, job.mark = started, started + duration, ""
            job.outcome, job.duration, job.error = "ok", duration, ""
            job.caught_up, job.next_run = False, fact.next_run
        case RunMissed():
            job = _job(past, fact.job, fact.name)
            job.missed, job.next_run = fact.due, fact.next_run
        case KnownJobs(jobs=known):
            for one in known:
                job = _job(past, one.id, one.name)
                job.next_run = one.next_run
                job.due = job.due if one.due is None else one.due
                job.missed = job.missed if one.missed is None else one.missed
        case QuietRuns() | WorkerExit():
            pass
        case _:
            assert_never(fact)


def _job(past: dict[str, Job], identity: str, name: str) -> Job:
    job = past.get(identity)
    if job is None:
        job = past[identity] = Job(Definition(identity, name))
    return job
