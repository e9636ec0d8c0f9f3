"""What is kept of a site's past → what people are told of it."""

from collections.abc import Collection

from linodmgr.core.facts import Fact, QuietRuns, RunBegun, RunEnded, RunMissed, WorkerExit
from linodmgr.daemon.instants import maybe, rfc3339
from linodmgr.protocol import PastExit, PastRun, SiteHistory

MOST = 50_000  # runs in one answer

Key = tuple[str, float]  # a job's id, and when its run began


def told(name: str, facts: list[Fact], underway: Collection[Key], job: str, limit: int) -> SiteHistory:
    """Return the past of a site, oldest first: of ``job`` (id or name) or of all.

    ``underway``: runs that have not ended, so that they are no past yet; ``limit``: 0 for all.
    """
    runs: list[tuple[float, PastRun]] = []
    ended = {(fact.job, fact.at) for fact in facts if isinstance(fact, RunEnded)}
    for fact in facts:
        if isinstance(fact, RunEnded | RunBegun | RunMissed | QuietRuns) and job in ("", fact.job, fact.name):
            runs += _runs(fact, {*ended, *underway})
    exits = [
        PastExit(rfc3339(fact.at), fact.cause, fact.uptime, fact.output)
        for fact in facts
        if isinstance(fact, WorkerExit)
    ]
    runs.sort(key=lambda run: run[0])
    most = limit or MOST
    return SiteHistory(name, [run for _, run in runs[-most:]], exits[-most:])


def _runs(
    fact: RunEnded | RunBegun | RunMissed | QuietRuns, known: Collection[Key]
) -> list[tuple[float, PastRun]]:
    match fact:
        case RunEnded():
            run = PastRun(
                fact.job,
                fact.name,
                rfc3339(fact.at),
                fact.outcome,
                fact.duration,
                maybe(fact.due),
                fact.error,
                fact.trace,
                fact.caught_up,
                fact.asked,
            )
            return [(fact.at, run)]
        case QuietRuns():
            return [
                (at, PastRun(fact.job, fact.name, rfc3339(at), "ok", duration)) for at, duration in fact.runs
            ]
        case RunMissed():
            due = rfc3339(fact.due)
            return [(fact.due, PastRun(fact.job, fact.name, due, "missed", due=due))]
        case RunBegun():
            if (fact.job, fact.at) in known:
                return []
            run = PastRun(
                fact.job,
                fact.name,
                rfc3339(fact.at),
                "unknown",
                due=maybe(fact.due),
                caught_up=fact.caught_up,
                asked=fact.asked,
            )
            return [(fact.at, run)]
