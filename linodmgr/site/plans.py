"""When each job of `schedule` is due, by the clock and by what is known of earlier workers; told on."""

import math
import time
import weakref
from datetime import datetime
from typing import Any, Dict, List, Optional, Tuple

TIMING = "_linodmgr_timing"  # attribute of a job
FIRST_SOON = 1.0  # seconds until the first job is made up for
BETWEEN_SOON = 2.0  # seconds from one to the next
BETWEEN_TELLS = 1.0  # seconds from one list of all jobs to the next, for each hundred of them


class Timing:
    """What we know of one job beside what it knows itself; instants are epoch seconds."""

    __slots__ = ("asked", "due", "durable", "id", "missed", "since", "told", "used", "written")

    def __init__(self, due: float, since: float, durable: bool) -> None:
        self.due = due
        self.since = since  # when that was found out
        self.durable = durable
        self.used: Optional[float] = None  # the regular time that was used up last
        self.missed: Optional[float] = None  # the regular time that its next run makes up for
        self.asked: Optional[str] = None  # the token of the wish that it fulfils just now
        self.written: Any = None  # the job's next_run that belongs to ``due``
        self.id = ""
        self.told: Optional[Dict[str, object]] = None


class Plans:
    """The due times of all jobs. ``rules`` is the module due, ``described`` the module schedule_jobs."""

    def __init__(self, runs: Any, rules: Any, described: Any, clock: Any = None) -> None:
        self._runs = runs
        self._rules = rules
        self._described = described
        self._clock = clock or rules.Clock()
        self._seen: List[Tuple[Any, int]] = []  # schedulers (weak) and how many jobs each had
        self._changed = True
        self._by_id: Dict[str, Any] = {}
        self._moved: Dict[str, Optional[float]] = {}
        self._misses: List[Tuple[Any, float]] = []  # jobs, each with a time that nobody makes up for
        self._soon = -math.inf
        self._tell_at = -math.inf  # monotonic

    def of(self, job: Any) -> Timing:
        """Return the timing of ``job``; a next run that somebody has set counts."""
        timing: Optional[Timing] = job.__dict__.get(TIMING)
        if timing is None or timing.written is not job.next_run:
            timing = self._take_over(job, timing)
        return timing

    def is_due(self, job: Any) -> bool:
        """Whether ``job`` should run now."""
        return bool(self._clock.now() >= self.of(job).due)

    def idle_seconds(self, jobs: List[Any]) -> Optional[float]:
        """Seconds until one of ``jobs`` is due, less than 0 if one is; None if there is none."""
        due = [self.of(job).due for job in jobs if job.next_run is not None]
        return min(due) - self._clock.now() if due else None

    def planned(self, job: Any, before: Any) -> None:
        """Know that `schedule` has planned the next run of ``job``, which was ``before``."""
        answer, job.next_run = job.next_run, before
        self.watch_clock()
        timing: Optional[Timing] = job.__dict__.get(TIMING)
        if timing is not None and timing.asked is not None and timing.durable:
            return  # what was asked for uses no regular time up
        job.next_run = answer
        now = self._clock.now()
        used = None if timing is None else timing.used
        due = self._rules.next_due(job, answer, now, used)
        if timing is None:
            timing = self._new(job, due, now)
        timing.missed = None
        self._write(job, timing, due, now)

    def begin(self, job: Any) -> int:
        """Tell that ``job`` runs now, and return the number of the run; its due time is used up."""
        timing = self.of(job)
        if not timing.id:
            self._tell()
            timing.id = timing.id or self._described.identities([job], self._by_id)[0]
        now = self._clock.now()
        if timing.asked is not None:
            # Stored, too: the daemon then knows where in the log its output begins.
            return int(self._runs.begin(timing.id, stored=True, asked=timing.asked))
        if timing.due > now:
            return int(self._runs.begin(timing.id))  # somebody runs it out of turn
        due = timing.due if timing.missed is None else timing.missed
        timing.used = due
        return int(
            self._runs.begin(
                timing.id,
                due=due,
                following=self._rules.following(job, due, now),
                stored=timing.durable,
                caught_up=timing.missed is not None,
            )
        )

    def end(self, job: Any, run: int, outcome: str, error: Optional[BaseException], goes_on: bool) -> None:
        """Tell that ``run`` of ``job`` has ended; ``goes_on``: it is not its last."""
        self._runs.end(run, outcome, error, self.of(job).due if goes_on else None)

    def find(self, known: str) -> Any:
        """Return the job whose id is ``known``, None if there is none."""
        return self._by_id.get(known)

    def local_now(self) -> datetime:
        """Return now as `schedule` writes it: local time, without a time zone."""
        shown: datetime = self._rules.wall(self._clock.now())
        return shown

    def name(self, job: Any) -> str:
        """Return the name of ``job`` for people."""
        return str(self._described.name(job))

    def look(self, scheduler: Any) -> None:
        """Tell what has changed; do what a clock that was set asks for."""
        self.watch_clock()
        count = len(scheduler.jobs)
        for place, (seen, before) in enumerate(self._seen):
            if getattr(seen(), "jobs", None) is scheduler.jobs:
                if before != count:
                    self._changed = True
                    self._seen[place] = (seen, count)
                break
        else:
            self._changed = True
            self._seen = [one for one in self._seen if one[0]() is not None]
            self._seen.append((weakref.ref(scheduler), count))
        if self._changed and time.monotonic() >= self._tell_at:
            self._tell()
        missed, self._misses = self._misses, []
        for job, regular in missed:
            self._runs.missed(self.of(job).id, regular, self.of(job).due)
        if self._moved:
            moved, self._moved = self._moved, {}
            self._runs.moved(moved)

    def watch_clock(self) -> None:
        """Move due times if the clock was set."""
        step = self._clock.step()
        if step:
            self._soon = -math.inf
            for job in self._jobs():
                if job.next_run is not None:
                    self._move(job, self.of(job), step)

    def _move(self, job: Any, timing: Timing, step: float) -> None:
        now = self._clock.now()
        timing.since += step
        if not self._rules.has_time(job):
            self._write(job, timing, timing.due + step, timing.since)
        elif timing.missed is not None:
            self._write(job, timing, self._slot(now), now)
        elif timing.durable and timing.due <= now:
            self._missed(job, timing, timing.due, now)  # the clock went over it
        else:
            if timing.used is not None and self._rules.is_nonsense(job, timing.used, now):
                timing.used = None
            job._schedule_next_run()
        if timing.id:
            self._moved[timing.id] = timing.due

    def _missed(self, job: Any, timing: Timing, missed: float, now: float) -> None:
        """Make up for the regular time ``missed`` soon, or tell that nobody does."""
        if self._runs.catch_up:
            timing.missed = missed
            self._write(job, timing, self._slot(now), now)
            return
        timing.used = missed
        self._write(job, timing, self._rules.on_grid(job, timing.due, now), now)
        self._misses.append((job, missed))

    def _slot(self, now: float) -> float:
        """Return a time soon at which no other job is made up for."""
        self._soon = max(now + FIRST_SOON, self._soon + BETWEEN_SOON)
        return self._soon

    def _take_over(self, job: Any, timing: Optional[Timing]) -> Timing:
        """Return the timing of a job that was there before us, or whose next run somebody has set."""
        now = self._clock.now()
        later = (job.next_run - self._rules.wall(now)).total_seconds()
        if timing is None and later > 0:
            due = self._rules.next_due(job, job.next_run, now)
        elif self._rules.is_wall(job):
            due = self._rules.epoch(job.next_run)
        else:
            due = now + later
        if timing is None:
            timing = self._new(job, due, now)
        elif timing.id:
            self._moved[timing.id] = due
        timing.due, timing.written, timing.missed = due, job.next_run, None
        return timing

    def _new(self, job: Any, due: float, now: float) -> Timing:
        timing = Timing(due, now, self._rules.is_durable(job))
        setattr(job, TIMING, timing)
        self._changed = True
        return timing

    def _write(self, job: Any, timing: Timing, due: float, since: float) -> None:
        """Let ``job`` be due at ``due``, and its next_run say so in its own way."""
        timing.due, timing.since = due, since
        shown = self._rules.wall(due)
        if abs((shown - job.next_run).total_seconds()) > 0.5:
            job.next_run = shown
        timing.written = job.next_run

    def _jobs(self) -> List[Any]:
        """Return the jobs of all schedulers, each once."""
        schedulers = [seen() for seen, _ in self._seen]
        found = {id(job): job for one in schedulers if one is not None for job in one.jobs}
        return list(found.values())

    def _tell(self) -> None:
        """Tell all jobs; those that are new go on where an earlier worker has left them."""
        jobs = [job for job in self._jobs() if job.next_run is not None]
        new = [job for job in jobs if not self.of(job).id]
        taken = [self.of(job).id for job in jobs if self.of(job).id]
        for job, known in zip(new, self._described.identities(new, taken)):
            self.of(job).id = known
        self._by_id = {self.of(job).id: job for job in jobs}
        described = []
        for job in jobs:
            timing = self.of(job)
            if timing.told is None:
                timing.told = self._described.told(job, timing.id, timing.due, timing.durable)
            described.append(timing.told)
        self._changed = False
        self._tell_at = time.monotonic() + BETWEEN_TELLS * max(1.0, len(jobs) / 100)
        self._moved.clear()
        for job in new:
            self._continue(job, self.of(job))
        for told, job in zip(described, jobs):
            told["next_run"] = self.of(job).due
        self._runs.tell_jobs("schedule", described)

    def _continue(self, job: Any, timing: Timing) -> None:
        """Go on in the rhythm that an earlier worker had."""
        past = self._runs.past.pop(timing.id, None)
        if past is None:
            return
        started, ended, used, planned = (_instant(past.get(key)) for key in PAST)
        now = self._clock.now()
        if used is not None and not self._rules.is_nonsense(job, used, now):
            timing.used = used
        due = timing.due
        if self._rules.has_time(job):
            if timing.used is not None and due <= timing.used:
                due = self._rules.next_due(job, job.next_run, now, timing.used)
        elif timing.durable and planned is not None and now < planned <= due:
            due = planned
        elif started is not None or ended is not None:
            last = max(instant for instant in (started, ended) if instant is not None)
            due = self._rules.continued(job, due, timing.since, last)
        missed = None
        if timing.durable:
            if planned is not None and planned <= now and (used is None or planned > used):
                missed = planned
            elif due <= now:
                missed = due
        self._write(job, timing, due, now)
        if missed is not None:
            self._missed(job, timing, missed, now)
        elif due <= now:
            self._write(job, timing, now + FIRST_SOON, now)


PAST = ("started", "ended", "due", "next_run")


def _instant(value: object) -> Optional[float]:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
