"""What is known of one site's jobs, from what its runners told. See "Runs and reports" in runner_protocol.

Instants of people's clock are called ``wall``, monotonic ones ``now``. Whatever a site tells is
bounded here; what it tells out of turn does no harm.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from linodmgr.core.facts import KnownJob, RunBegun, RunEnded, RunMissed
from linodmgr.core.job import Hang, Job, Limits
from linodmgr.core.told import (
    ERROR_LIMIT,
    ID_LIMIT,
    Definition,
    End,
    Run,
    clean_definition,
    clean_end,
    clean_run,
    instant,
    line,
    span,
)

JOBS_LIMIT = 5000  # per site, those that it no longer has included
TEXT_LIMIT = 1_000_000  # characters of all definitions of a site


@dataclass(slots=True)
class SiteJobs:
    """All jobs of one site."""

    kind: str = ""
    zone: str = ""
    live: bool = False  # the worker of now has told its jobs
    defined: bool = False  # some worker has told its jobs
    armed: bool = False  # the loop of the worker of now has begun
    heard: float = 0.0  # monotonic: its last word
    as_of: float | None = None  # wall: the same
    lost: int = 0  # reports of the worker of now
    hang: Hang | None = None  # the last one
    dying: Hang | None = None  # the one that the worker of now is killed for
    jobs: dict[str, Job] = field(default_factory=dict)
    underway: dict[str, Job] = field(default_factory=dict)  # those with a run under way
    _texts: int = 0  # characters of all definitions, about
    _full: bool = False

    def listen(self, wall: float, now: float) -> None:
        """Note that the worker has said something."""
        self.heard, self.as_of = now, wall

    def tick(self, lost: int) -> None:
        """Note that the loop goes round."""
        self.armed = True
        self.lost = max(0, min(lost, 2**53))

    def define(self, kind: str, zone: str, told: Iterable[Definition], *, first: bool) -> list[KnownJob]:
        """Take in the jobs that the worker told; ``first``: what it told before is void.

        Return those whose name or next run is new.
        """
        self.kind, self.zone = line(kind), line(zone)
        self.live = self.defined = True
        if first:
            for job in self.jobs.values():
                job.told = False
            self._full = False
        return [known for one in told if (known := self._define(one))]

    def shown(self) -> list[Job]:
        """Return the jobs that the last worker told; before any has, all that are known."""
        return [job for job in self.jobs.values() if job.told or not self.defined]

    def durable_due(self) -> float:
        """Return when a job is due next whose begin has to be stored, wall; ``inf``: none is."""
        dues = (job.next_run for job in self.jobs.values() if job.told and job.defined.durable)
        return min((due for due in dues if due is not None), default=math.inf)

    def begin(self, told: Run, wall: float, now: float) -> RunBegun | None:
        """Note the begin of a run; return it if it has to be stored.

        A begin that was told before, or one before the run under way, changes nothing.
        """
        run = clean_run(told, wall)
        job = self._job(run.job)
        if (
            job is None
            or self._is_hanging(job)
            or run.number <= job.last_number
            or (job.run and run.number <= job.run.number)
        ):
            return None
        late = wall - run.at  # told again to a new daemon, or after it waited long
        job.run, job.since = run, now - min(max(late, 0.0), now)
        job.started, job.ended, job.caught_up, job.mark = run.at, None, run.caught_up, run.mark
        self.underway[job.id] = job
        if run.due is not None:
            job.due = run.due
        if run.following is not None:
            job.next_run = run.following
        if not run.stored:
            return None
        asked = bool(run.asked)
        return RunBegun(job.id, job.name, run.at, run.due, run.following, run.caught_up, asked, run.mark)

    def end(self, told: End, wall: float) -> RunEnded | None:
        """Note the end of a run, whose begin may have been lost; return what is to be recorded.

        That of a run before the one under way is recorded and changes nothing else. A run that was
        found hanging is not heard any more: asking for its stacks may have woken it, too late.
        """
        end = clean_end(told, wall)
        job = self._job(end.job)
        if job is None or self._is_hanging(job) or end.number <= job.last_number:
            return None
        job.last_number = end.number
        if job.run and end.number < job.run.number:
            return _record(job, None, end)
        run = job.run if job.run and job.run.number == end.number else None
        if run is None:
            job.started, job.caught_up = max(end.at - end.duration, 0.0), False
        if end.next_run is not None or (job.next_run is not None and job.next_run <= end.at):
            job.next_run = end.next_run
        return self._close(job, run, end)

    def miss(self, identity: str, due: float, next_run: float | None) -> RunMissed | None:
        """Note a regular time that passed without a run."""
        job, due_at = self._job(line(identity, ID_LIMIT)), instant(due)
        if job is None or due_at is None or (job.missed is not None and due_at <= job.missed):
            return None
        job.missed, job.next_run = due_at, instant(next_run)
        return RunMissed(job.id, job.name, due_at, job.next_run)

    def move(self, next_runs: Mapping[str, float | None]) -> list[KnownJob]:
        """Note next runs that changed without a run."""
        moved = []
        for identity, next_run in next_runs.items():
            if job := self.jobs.get(line(identity, ID_LIMIT)):
                job.next_run = instant(next_run)
                moved.append(KnownJob(job.id, job.name, job.next_run))
        return moved

    def stall(self, reason: str, wall: float) -> Hang:
        """Note that the loop has ended in a process that lives on."""
        self.dying = Hang(wall, f"ended: {line(reason, ERROR_LIMIT)}")
        return self.dying

    def deadline(self, limits: Limits) -> float:
        """Return when to look for a hang if nothing more is heard, monotonic; ``inf``: never."""
        if self.dying:
            return math.inf
        if self.underway:
            return min(job.since + limits.of(job) for job in self.underway.values())
        return self.heard + limits.watchdog if self.armed and limits.watchdog else math.inf

    def look(self, limits: Limits, wall: float, now: float) -> Hang | None:
        """Return what hangs, if anything does."""
        if now < self.deadline(limits):
            return None
        for job in self.underway.values():
            if job.run and now >= job.since + limits.of(job):
                self.dying = Hang(wall, f"hung for {now - job.since:.0f} s", job.id, job.run.thread)
                return self.dying
        self.dying = Hang(wall, f"hung for {now - self.heard:.0f} s")
        return self.dying

    def worker_ended(self, cause: str, wall: float, where: str = "") -> list[RunEnded]:
        """Forget what was told of the worker; return its runs that nobody saw end.

        ``where``: it hung, if it was found to.
        """
        if self.dying:
            dying = self.dying
            self.hang = Hang(dying.wall, dying.text, dying.job, dying.thread, line(where))
        underway = [(job, job.run) for job in self.underway.values() if job.run]
        ended = []
        for job, run in underway:
            lasted = span(wall - run.at)
            end = End(run.number, job.id, wall, "failed", lasted, self._fate(job, cause))
            ended.append(self._close(job, run, end, run.mark))
        for job in self.jobs.values():
            job.last_number = -1
        self.live = self.armed = False
        self.dying, self.lost = None, 0
        return ended

    def adopt(self, past: Iterable[Job]) -> None:
        """Take in what is kept of jobs; what this daemon has seen of one is newer and stays."""
        for then in past:
            job = self._job(then.id, then.name)
            if job is None:
                return
            if job.next_run is None:
                job.next_run = then.next_run
            if job.missed is None:
                job.missed = then.missed
            if not job.outcome and job.run is None:
                job.started = max(filter(None, (job.started, then.started)), default=None)
                job.ended, job.outcome = then.ended, then.outcome
                job.duration, job.error, job.caught_up = then.duration, then.error, then.caught_up
                job.due, job.mark = then.due, then.mark

    def _job(self, identity: str, name: str = "") -> Job | None:
        """Return the job, made if nobody has told of it; None if there are too many."""
        job = self.jobs.get(identity)
        if job is None:
            one = Definition(identity, name or line(identity))
            if self._has_room(_size(one), new=True):
                job = self.jobs[identity] = Job(one)
        return job

    def _define(self, told: Definition) -> KnownJob | None:
        one = clean_definition(told)
        job = self.jobs.get(one.id)
        if not self._has_room(_size(one) - (_size(job.defined) if job else 0), new=job is None):
            return None
        if job is None:
            job = self.jobs[one.id] = Job(one)
        is_news = job.name != one.name or job.next_run != one.next_run
        job.defined, job.told, job.next_run = one, True, one.next_run
        if one.last_run is not None and (job.started is None or one.last_run > job.started):
            job.started = one.last_run
        return KnownJob(one.id, one.name, one.next_run) if is_news else None

    def _has_room(self, size: int, *, new: bool) -> bool:
        """Whether so many more characters may be kept; jobs that the site no longer has make room."""
        if self._full and (new or size > 0):
            return False
        if self._is_too_much(size, new=new):
            for identity in [job.id for job in self.jobs.values() if not job.told and not job.run]:
                del self.jobs[identity]
            self._texts = sum(_size(job.defined) for job in self.jobs.values())
            if self._is_too_much(size, new=new):
                self._full = True
                return False
        self._texts += size
        return True

    def _is_too_much(self, size: int, *, new: bool) -> bool:
        return (new and len(self.jobs) >= JOBS_LIMIT) or self._texts + size > TEXT_LIMIT

    def _is_hanging(self, job: Job) -> bool:
        return self.dying is not None and self.dying.job == job.id

    def _close(self, job: Job, run: Run | None, end: End, mark: str = "") -> RunEnded:
        job.run = None
        self.underway.pop(job.id, None)
        job.ended, job.outcome, job.duration, job.error, job.mark = (
            end.at,
            end.outcome,
            end.duration,
            end.error,
            mark,
        )
        return _record(job, run, end, mark)

    def _fate(self, job: Job, cause: str) -> str:
        """Return why a run that nobody saw end has failed."""
        if self.dying is None or self.hang is None:
            return line(f"its worker {cause}", ERROR_LIMIT)
        what = self.hang.words() if self.hang.job == job.id else "something else hung"
        return line(f"{what}, its worker was killed", ERROR_LIMIT)


def _size(one: Definition) -> int:
    return sum(map(len, (one.id, one.name, one.schedule, one.text, one.why)))


def _record(job: Job, run: Run | None, end: End, mark: str = "") -> RunEnded:
    asked, stored, caught_up = (bool(run.asked), run.stored, run.caught_up) if run else (False, False, False)
    plain = not (asked or stored or caught_up or job.defined.durable)
    return RunEnded(
        job=job.id,
        name=job.name,
        at=run.at if run else max(end.at - end.duration, 0.0),
        outcome=end.outcome,
        duration=end.duration,
        due=run.due if run else None,
        error=end.error,
        trace=end.trace,
        caught_up=caught_up,
        asked=asked,
        next_run=job.next_run,
        quiet=plain and end.outcome == "ok",
        mark=mark,
    )
