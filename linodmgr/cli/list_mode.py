"""The jobs of sites whose worker does not tell them: each is asked with its own Python, as its own user."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from linodmgr import config, launch, places
from linodmgr.cli import client
from linodmgr.cli.gather import Answered, Ask, Gatherer, Outcome, Unanswered
from linodmgr.cli.instants import instant, utc_now
from linodmgr.cli.jobs_shown import DISABLED, FAILED, MISSED, NO_JOBS, NO_LINOD, OK, RUNNING, Told
from linodmgr.cli.listing import ListedJob
from linodmgr.core.names import choose
from linodmgr.core.never import assert_never
from linodmgr.core.site import Site
from linodmgr.directories import own
from linodmgr.errors import ConfigError, DaemonNotRunning, LinodmgrError
from linodmgr.identity import Caller
from linodmgr.listmode import NoListing
from linodmgr.places import Places
from linodmgr.protocol import JobStatus, Listing, ListJobs, SiteJobs, Snapshot, Status

DAEMON_SLACK = 30.0  # seconds that the daemon may need on top: others ask it, too
REMOVED = "is not in the configuration any more"
OF_THE_PAST = (FAILED, MISSED)  # states of a job that it keeps while no worker runs


def tell(
    place: Places,
    path: Path,
    names: Sequence[str],
    known: Mapping[str, SiteJobs] | None,
    time_limit: float,
    at_once: int,
) -> list[Told]:
    """Return the jobs of sites. Raises ConfigError, and UsageError for a name that is unknown.

    ``known``: what the daemon knows of exactly the sites in ``names``; None: it was not asked, and
    ``names`` may be patterns. ``time_limit``: seconds for each site.
    """
    try:
        sites = {site.name: site for site in configured_sites(path, place.control)}
    except ConfigError as error:
        if known is None:
            raise
        return [unanswered(name, error.problems[0]) for name in names]
    if known is None:
        asked = set(choose(sites, names))
        chosen = [site for site in sites.values() if site.name in asked]
        names = [site.name for site in chosen]
    else:
        chosen = [sites[name] for name in names if name in sites]
    gatherer = Gatherer(
        runner_dir=launch.lay_out(runner_place(place)),
        ask=daemon_asker(place.control, time_limit),
        time_limit=time_limit,
        at_once=at_once,
    )
    with progress(len(chosen)) as tell_one:
        outcomes = {outcome.site.name: outcome for outcome in gatherer.gather(chosen, tell_one)}
    past = known or {}
    return [
        told(outcomes[name], past.get(name)) if name in outcomes else unanswered(name, REMOVED)
        for name in names
    ]


def told(outcome: Outcome, past: SiteJobs | None = None) -> Told:
    """Return what a site answered, with the ``past`` of its jobs as far as the daemon knows it."""
    match outcome:
        case Unanswered(site, reason):
            return unanswered(site.name, reason)
        case Answered(site, listed, now):
            known = {job.id: job for job in past.jobs} if past else {}
            state = OK if site.enabled else ""
            jobs = [_overlaid(_status(job, state), known.get(job.id)) for job in listed.jobs]
            reason = "" if jobs else NO_JOBS if listed.uses_linod else NO_LINOD
            zone = past.zone if past else ""
            return Told(SiteJobs(site.name, False, jobs, instant(now), listed.kind, zone, reason), now)
        case _:
            assert_never(outcome)


def unanswered(name: str, reason: str) -> Told:
    """Return what is shown of a site whose jobs are not known."""
    return Told(SiteJobs(name, False, []), utc_now(), reason)


def _status(job: ListedJob, state: str) -> JobStatus:
    if not job.enabled:
        state = DISABLED
    elif job.running:
        state = RUNNING
    return JobStatus(
        id=job.id,
        name=job.name,
        schedule=job.schedule,
        state=state,
        interval=job.interval,
        at=job.at,
        last_run=None if job.last_run is None else instant(job.last_run),
        next_run=None if job.next_run is None else instant(job.next_run),
        why=job.why,
        text=job.text,
    )


def _overlaid(job: JobStatus, past: JobStatus | None) -> JobStatus:
    """Return ``job`` with what only the daemon remembers."""
    if past is None:
        return job
    return msgspec.structs.replace(
        job,
        state=past.state if job.state == OK and past.state in OF_THE_PAST else job.state,
        last_run=past.last_run or job.last_run,
        outcome=past.outcome,
        duration=past.duration,
        error=past.error,
        missed=past.missed,
        caught_up=past.caught_up,
    )


def configured_sites(path: Path, control: Path) -> list[Site]:
    """Return all sites. Who is not root sees those of a file of root's as root does.

    If we may not read the file but talk to its daemon, that one tells the names. Raises ConfigError.
    """
    if not places.is_above_us(path):
        return list(config.load(path).sites.values())
    try:
        return list(config.load(path, host=config.Host(caller=Caller(0, 0))).sites.values())
    except ConfigError:
        with suppress(LinodmgrError):
            return [
                Site(name=site.name, directory=site.directory)
                for answer in client.ask(control, Status())
                if isinstance(answer, Snapshot)
                for site in answer.sites
            ]
        raise


def runner_place(of: Places) -> Path:
    """Return a directory of ours for the runner: the daemon's, or our own where that is somebody else's.

    Raises LinodmgrError.
    """
    reason: LinodmgrError | None = None
    for place in (of.runtime_dir, places.default_places().runtime_dir):
        try:
            own(place, 0o755 if os.geteuid() == 0 else 0o700)
        except LinodmgrError as error:
            reason = reason or error
        else:
            return place
    assert reason is not None
    raise reason


def daemon_asker(control: Path, time_limit: float) -> Ask:
    """Return what asks the daemon for the jobs of a site that runs as another user than ours."""

    def ask(site: Site) -> str:
        try:
            answers = client.ask(control, ListJobs(site.name, time_limit), time_limit + DAEMON_SLACK)
            for answer in answers:
                if isinstance(answer, Listing):
                    if answer.reason:
                        raise NoListing(answer.reason)
                    return answer.text
        except (DaemonNotRunning, client.NoPermission) as error:
            who = site.identity.user if site.identity else "another user"
            raise NoListing(f"runs as {who}: only root or the daemon may list it") from error
        raise NoListing("the daemon did not tell its jobs")

    return ask


@contextmanager
def progress(total: int) -> Iterator[Callable[[Site], None]]:
    """Yield what to tell of each site that answered; shows how far it is if a person looks on."""
    if not sys.stderr.isatty():
        yield lambda _site: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    parts = (TextColumn("asking sites"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda _site: bar.advance(task)
