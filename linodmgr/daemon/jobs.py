"""What is known of the jobs of all sites: runners' words in, history, hangs and wishes out."""

import asyncio
import logging
from collections.abc import Callable

from linodmgr.core.facts import Fact, WorkerExit
from linodmgr.core.job import Hang, Job, Limits
from linodmgr.core.jobs import SiteJobs
from linodmgr.core.past import remember
from linodmgr.core.states import Hung, Running, Starting, Stopping
from linodmgr.core.told import End, Run, line
from linodmgr.daemon.alarm import Alarm
from linodmgr.daemon.definitions import definition
from linodmgr.daemon.handover import HandedBook
from linodmgr.daemon.history import History
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.wishes import Wishes
from linodmgr.runner_protocol import (
    Begun,
    Declined,
    Ended,
    Go,
    Jobs,
    Missed,
    Moved,
    PastJob,
    Stalled,
    Tick,
)

log = logging.getLogger(__name__)

OUTPUT_LINES = 20  # of a worker that has ended
SILENT_TICKS = 2.5  # a runner that has missed so many may hang

JobReport = Jobs | Begun | Ended | Missed | Moved | Tick | Stalled | Declined


class JobBook:
    """Knows every site's jobs. A watcher is called with the site of which something is new.

    What only the report socket can do is put in by it: ``run_now``, ``unhooked``, ``hear_first``.
    """

    def __init__(self, loop: Loop, history: History, logs: Logs) -> None:
        self.watchers: set[Callable[[str], None]] = set()
        self.wishes = Wishes()
        self.run_now: Callable[[str, str, str], bool] = lambda _name, _job, _token: False
        self.unhooked: Callable[[str], str] = lambda _name: ""  # why no hook fits, if none does
        # The runner of a site may have said something that nobody has read yet.
        self.hear_first: Callable[[str], None] = lambda _name: None
        self.due_changed: Callable[[str], None] = lambda _name: None  # of a run that has to be stored
        self.ticked: Callable[[str], None] = lambda _name: None  # its loop goes on
        self._loop = loop
        self._history = history
        self._logs = logs
        self._sites: dict[str, SiteJobs] = {}
        self._known: set[str] = set()  # sites whose past has been read
        self._asked: dict[str, list[Callable[[], None]]] = {}  # who waits for that
        self._watchdogs: dict[str, float] = {}  # what the worker of now was told, in seconds
        self._alarm = Alarm(self._look)

    def of(self, name: str) -> SiteJobs:
        """Return what is known of a site's jobs."""
        found = self._sites.get(name)
        if found is None:
            found = self._sites[name] = SiteJobs()
        return found

    def recall(self, name: str, then: Callable[[], None]) -> None:
        """Call ``then`` once the past of a site is known: at once if it is."""
        if name in self._known:
            then()
        elif name in self._asked:
            self._asked[name].append(then)
        else:
            self._asked[name] = [then]
            self._history.load(name, lambda facts: self._recalled(name, facts))

    def past(self, name: str) -> list[PastJob]:
        """Return what a runner is told of earlier ones."""
        return [
            PastJob(job.id, job.started, job.ended, job.outcome, job.due, job.next_run, job.mark)
            for job in self.of(name).jobs.values()
            if job.started is not None or job.due is not None or job.next_run is not None
        ]

    def go(self, name: str) -> Go:
        """Return the word that lets the runner of a site begin."""
        site = self._loop.sites[name]
        self._watchdogs[name] = site.watchdog
        return Go(isolate_jobs=site.isolate_jobs, catch_up=site.catch_up, watchdog=site.watchdog)

    def ready(self, name: str) -> None:
        """Note that the loop of a site's worker has begun."""
        wall, now = self._loop.instants()
        site = self.of(name)
        site.listen(wall, now)
        site.armed = True
        self._set_alarm(name, site)
        self._changed(name)

    def rest(self, name: str) -> None:
        """Note that a site has no jobs."""
        self.of(name).define("", "", (), first=True)
        self._changed(name)

    def hear(self, name: str, report: JobReport, stored: Callable[[int], None]) -> None:
        """Take in what a runner told; ``stored`` is called with a run whose beginning is safe."""
        wall, now = self._loop.instants()
        site = self.of(name)
        site.listen(wall, now)
        match report:
            case Tick(lost=lost):
                site.tick(lost)
                self._set_alarm(name, site)
                self.ticked(name)
                return
            case Begun():
                self._begun(name, site, report, stored)
            case Ended():
                self._ended(name, site, report)
                self.ticked(name)
            case Jobs(kind=kind, jobs=jobs, first=first, zone=zone):
                known = site.define(kind, zone, map(definition, jobs), first=first)
                self._history.note_known(name, known)
                self.due_changed(name)
            case Missed(job=job, due=due, next_run=next_run):
                if missed := site.miss(job, due, next_run):
                    log.warning("%s: %s was missed while no worker ran", name, missed.name)
                    self._history.note(name, missed)
            case Moved(next_runs=next_runs):
                self._history.note_known(name, site.move(next_runs))
                self.due_changed(name)
            case Stalled(reason=reason):
                if self._is_alive(name) and site.dying is None:
                    self._hung(name, site, site.stall(reason, wall))
            case Declined(asked=asked, reason=reason):
                self.wishes.declined(name, asked, line(reason))
        self._set_alarm(name, site)
        self._changed(name)

    def worker_ended(self, name: str, status: int | None, where: Callable[[Hang], str]) -> None:
        """Settle what was told of a worker that has ended, and keep how it did.

        ``where`` says, once it hung, in which line of the site.
        """
        wall, _ = self._loop.instants()
        site, uptime = self.of(name), self._loop.uptime(name)
        words = ended = self._loop.cause(name, status)
        place = where(site.dying) if site.dying else ""
        dying = site.dying
        after = "" if uptime is None else f" after {_span(uptime)}"
        was = "was " if status is not None and status < 0 else ""
        for fact in site.worker_ended(f"{was}{words}{after}", wall, place):
            self._history.note(name, fact)
        if dying and site.hang:
            what = site.jobs[dying.job].name if dying.job in site.jobs else "its loop"
            words = f"{what} {site.hang.words()}: {words}"
            log.warning("%s: %s", name, words)
        elif isinstance(state := self._loop.fleet[name].state, Stopping):
            words = f"{words}, as it was asked to end{f': it {state.why}' if state.why else ''}"
        begin, end = self._logs.begin(name), self._logs.size(name)
        told = WorkerExit(wall, words, None if uptime is None else round(uptime, 3))
        # Once it is started again: the thread that writes takes turns with us.
        asyncio.get_running_loop().call_soon(
            self._history.note_exit,
            name,
            told,
            lambda: tuple(self._logs.between(name, begin, end, OUTPUT_LINES)),
        )
        self._watchdogs.pop(name, None)
        self.wishes.died(name, f"its worker {was}{ended}", lambda job: _error(site, job))
        self._changed(name)

    def adjust(self) -> None:
        """Look anew at all limits: the configuration has changed."""
        for name in [name for name in self._sites if name not in self._loop.sites]:
            del self._sites[name]
            self._known.discard(name)
        for name, site in self._sites.items():
            self._set_alarm(name, site)

    def hand_over(self) -> HandedBook:
        """Return all that is known; nobody may wait for a past that is being read."""
        return HandedBook(sites=self._sites, known=self._known, watchdogs=self._watchdogs)

    def take_over(self, handed: HandedBook) -> None:
        """Know what an earlier daemon knew."""
        self._sites, self._known, self._watchdogs = handed.sites, handed.known, handed.watchdogs
        for name, site in self._sites.items():
            self._set_alarm(name, site)

    def close(self) -> None:
        """Wake up for nobody any more."""
        self._alarm.close()

    def _begun(self, name: str, site: SiteJobs, told: Begun, stored: Callable[[int], None]) -> None:
        wall, now = self._loop.instants()
        run = Run(
            told.run,
            told.job,
            told.at,
            told.due,
            told.following,
            told.stored,
            told.caught_up,
            told.asked,
            told.thread,
            told.mark,
        )
        fact = site.begin(run, wall, now)
        if fact is not None:
            self._history.note(name, fact, lambda: stored(told.run))
            self.due_changed(name)
        if told.asked:
            self.wishes.begun(name, told.asked)

    def _ended(self, name: str, site: SiteJobs, told: Ended) -> None:
        wall, _ = self._loop.instants()
        job = site.jobs.get(told.job)
        token = job.run.asked if job and job.run and job.run.number == told.run else ""
        end = End(
            told.run, told.job, told.at, told.outcome, told.duration, told.error, told.trace, told.next_run
        )
        fact = site.end(end, wall)
        if fact is None:
            return
        self._history.note(name, fact)
        if job and job.defined.durable:
            self.due_changed(name)
        if token:
            self.wishes.ended(name, token, fact)

    def _recalled(self, name: str, facts: list[Fact]) -> None:
        self._known.add(name)
        remember(self.of(name), facts)
        for then in self._asked.pop(name, ()):
            then()

    def _changed(self, name: str) -> None:
        for watcher in tuple(self.watchers):
            watcher(name)

    def _set_alarm(self, name: str, site: SiteJobs) -> None:
        if name in self._loop.sites:
            self._alarm.not_after(name, site.deadline(self._limits(name)))

    def _look(self, name: str, is_overdue: bool) -> None:
        """See whether something of a site hangs; it may only be that nobody has read its words."""
        if not self._is_alive(name):
            return
        site = self.of(name)
        self.hear_first(name)
        wall, now = self._loop.instants()
        if is_overdue:  # we have not been running ourselves; perhaps it has not either
            site.heard = now
        if hang := site.look(self._limits(name), wall, now):
            self._hung(name, site, hang)
        else:
            self._set_alarm(name, site)

    def _hung(self, name: str, site: SiteJobs, hang: Hang) -> None:
        job = site.jobs.get(hang.job) if hang.job else None
        self._loop.put(name, Hung(f"{job.name if job else 'its loop'} {hang.text}"))
        self._changed(name)

    def _is_alive(self, name: str) -> bool:
        """Whether the worker of a site is there and not about to end."""
        return name in self._loop.fleet and isinstance(self._loop.fleet[name].state, Starting | Running)

    def _limits(self, name: str) -> Limits:
        site = self._loop.sites[name]
        watchdog = site.watchdog
        if watchdog:  # its runner ticks as the limit that it was told of needs, which may be another
            watchdog = max(watchdog, SILENT_TICKS * _tick(self._watchdogs.get(name, 0.0)))
        return Limits(watchdog, site.job_timeout, site.jobs)


def find(site: SiteJobs, wanted: str) -> list[Job]:
    """Return the jobs with this id, else those with this name."""
    known = site.shown()
    return [job for job in known if job.id == wanted] or [job for job in known if job.name == wanted]


def _tick(watchdog: float) -> float:
    """Seconds from tick to tick of a runner that was told of this limit."""
    return max(1.0, min(15.0, watchdog / 4)) if watchdog else 15.0


def _error(site: SiteJobs, identity: str) -> str:
    job = site.jobs.get(identity)
    return job.error if job else ""


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
