"""What is never so, whatever a runner tells, in whatever order, of whichever job."""

import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from linodmgr.core.facts import Fact, RunBegun, RunEnded, RunMissed
from linodmgr.core.job import Job, Limits
from linodmgr.core.job_states import attention, state, turns
from linodmgr.core.jobs import SiteJobs
from linodmgr.core.past import recall
from linodmgr.core.told import LAST_INSTANT, Definition, End, Run

IDS = ("a", "b", "c")
JOBS = st.sampled_from(IDS)
NUMBERS = st.integers(0, 9)
ANY = st.floats() | st.sampled_from([0.0, 1e9, 1.7e9, -1.0, math.nan, math.inf])
MAYBE = st.none() | ANY
LIMITS = Limits(watchdog=30.0, job_timeout=60.0, of_job={"b": 0.0, "c": 10.0})


class AnyRunner(RuleBasedStateMachine):
    """One site with workers that come and go, and say anything."""

    @initialize()
    def a_site(self) -> None:
        self.site = SiteJobs()
        self.wall, self.now = 1.7e9, 1000.0
        self.facts: list[Fact] = []
        self.used: dict[str, float] = {}  # the durable times that were used up

    def keep(self, fact: Fact | None) -> None:
        if fact is not None:
            self.facts.append(fact)

    @rule(some=st.lists(JOBS, unique=True), first=st.booleans(), durable=st.booleans(), next_run=MAYBE)
    def jobs_are_told(self, some: list[str], first: bool, durable: bool, next_run: float | None) -> None:
        told = [Definition(job, next_run=next_run, durable=durable) for job in some]
        self.site.define("schedule", "UTC", told, first=first)

    @rule(number=NUMBERS, job=JOBS, at=ANY, due=MAYBE, following=MAYBE, stored=st.booleans())
    def a_run_begins(
        self, number: int, job: str, at: float, due: float | None, following: float | None, stored: bool
    ) -> None:
        run = Run(number, job, at, due, following, stored, mark=str(number))
        fact = self.site.begin(run, self.wall, self.now)
        self.keep(fact)
        if fact is not None and fact.due is not None:
            self.used[job] = fact.due

    @rule(number=NUMBERS, job=JOBS, at=ANY, duration=ANY, next_run=MAYBE)
    def a_run_ends(self, number: int, job: str, at: float, duration: float, next_run: float | None) -> None:
        self.keep(self.site.end(End(number, job, at, "ok", duration, next_run=next_run), self.wall))

    @rule(job=JOBS, due=ANY, next_run=MAYBE)
    def a_time_was_missed(self, job: str, due: float, next_run: float | None) -> None:
        self.keep(self.site.miss(job, due, next_run))

    @rule(next_runs=st.dictionaries(JOBS, MAYBE))
    def times_move(self, next_runs: dict[str, float | None]) -> None:
        self.site.move(next_runs)

    @rule()
    def the_loop_goes_round(self) -> None:
        self.site.listen(self.wall, self.now)
        self.site.tick(0)

    @rule(seconds=st.sampled_from([0.1, 9.0, 31.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.wall += seconds
        self.now += seconds

    @rule(seconds=st.sampled_from([-7200.0, -1.0, 3600.0]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.wall += seconds

    @rule()
    def somebody_looks_whether_it_hangs(self) -> None:
        due = self.site.deadline(LIMITS)
        found = self.site.look(LIMITS, self.wall, self.now)
        assert (found is not None) == (self.now >= due)
        assert self.site.deadline(LIMITS) > self.now

    @rule()
    def the_worker_ends(self) -> None:
        under_way = set(self.site.underway)
        ended = self.site.worker_ended("exited with status 1", self.wall)
        assert {fact.job for fact in ended} == under_way
        assert all(fact.outcome == "failed" and fact.error for fact in ended)
        self.facts += ended
        assert not self.site.underway
        assert self.site.deadline(LIMITS) == math.inf

    @invariant()
    def who_is_under_way_has_a_run_and_nobody_else(self) -> None:
        running = {name for name, job in self.site.jobs.items() if job.run}
        assert running == set(self.site.underway)

    @invariant()
    def no_instant_is_impossible(self) -> None:
        for job in self.site.jobs.values():
            for instant in (job.started, job.ended, job.next_run, job.due, job.missed):
                assert instant is None or 0 <= instant <= LAST_INSTANT
            assert job.since <= self.now

    @invariant()
    def everything_can_be_shown(self) -> None:
        for job in self.site.jobs.values():
            assert state(job, self.wall, self.now, live=self.site.live)
        assert len(attention(self.site, self.wall, self.now)) <= len(IDS) + 1
        assert turns(self.site, self.wall, self.now) >= 0

    @invariant()
    def a_time_that_was_used_up_durably_is_remembered_after_a_boot(self) -> None:
        past: dict[str, Job] = {}
        for fact in self.facts:
            recall(past, fact)
        for name, due in self.used.items():
            later = [
                fact for fact in self.facts if isinstance(fact, RunEnded) and fact.job == name and fact.due
            ]
            assert past[name].due in (due, *(fact.due for fact in later))

    @invariant()
    def what_was_recorded_can_be_recorded(self) -> None:
        assert all(isinstance(fact, RunBegun | RunEnded | RunMissed) for fact in self.facts)


AnyRunner.TestCase.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAnyRunner = AnyRunner.TestCase
