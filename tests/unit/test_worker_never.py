"""What never happens, whatever operator, clock and operating system do, in any order.

The machine plays all three against a fleet; each invariant is a sentence.
"""

import math

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from linodmgr.core.shown import reason
from linodmgr.core.site import Policy, Restart
from linodmgr.core.states import (
    BecameReady,
    Cleared,
    Connected,
    Event,
    Finished,
    FoundUnhooked,
    Goal,
    Hung,
    Lacking,
    Outgrown,
    Queued,
    Remarking,
    Remedy,
    RestartWanted,
    Resting,
    Running,
    Said,
    Silent,
    SpawnFailed,
    Spawning,
    Starting,
    Stopped,
    Stopping,
    Tick,
    Wanted,
)
from linodmgr.core.worker import SLOT_SECONDS, deadline, pid_of
from tests.host import Host

NAMES = ("noi", "cosi", "tera", "amici")
SITES = st.sampled_from(NAMES)
POLICIES = st.builds(
    Policy,
    restart=st.sampled_from(Restart),
    start_timeout=st.sampled_from([2.0, 120.0]),
    settle=st.sampled_from([0.5, 5.0, 50.0]),
    good_run=st.sampled_from([1.0, 60.0]),
    stop_timeout=st.sampled_from([0.1, 30.0]),
    backoff_max=st.sampled_from([0.5, 60.0]),
)
WORDS = st.sampled_from(
    [Silent(), Resting("no jobs"), Lacking("no manage.py"), Remarking("a job called sys.exit")]
)
WISHES = st.sampled_from(
    [
        Wanted(Goal.UP),
        Wanted(Goal.DOWN),
        Wanted(Goal.DOWN, now=True),
        RestartWanted(),
        RestartWanted(now=True),
    ]
)
A_RUNNERS_WORD = st.one_of(
    st.sampled_from([Connected(), BecameReady(), FoundUnhooked()]), st.builds(Said, words=WORDS)
)
FAILURES = st.builds(SpawnFailed, reason=st.just("no venv"), remedy=st.sampled_from(Remedy))
ENDS = st.sampled_from([0, 1, -9, -15, None])
SPANS = st.sampled_from([0.0, 0.1, 1.0, 5.0, 29.9, 30.0, 61.0, 3600.0])


class AnyHistory(Host, RuleBasedStateMachine):
    """Any history of a host, one rule after the other."""

    @initialize(starts_at_once=st.integers(0, 3), policy=POLICIES)
    def a_daemon_starts(self, starts_at_once: int, policy: Policy) -> None:
        self.boot(starts_at_once)
        self.policies = dict.fromkeys(NAMES, policy)
        for name in NAMES:
            self.fleet.add(name, policy)

    # The operator.

    @rule(name=SITES, wish=WISHES)
    def a_person_wishes(self, name: str, wish: Event) -> None:
        self.happens(name, wish)

    @rule(wish=WISHES)
    def a_person_wishes_for_all(self, wish: Event) -> None:
        for name in NAMES:
            self.happens(name, wish)

    @rule(name=SITES, policy=POLICIES)
    def a_reload_adds_or_adjusts(self, name: str, policy: Policy) -> None:
        self.policies[name] = policy
        self.fleet.add(name, policy)

    @rule(name=SITES)
    def a_reload_removes(self, name: str) -> None:
        if name not in self.being_spawned and name not in self.alive.values() and name in self.fleet:
            self.fleet.remove(name)

    # The clock.

    @rule(span=SPANS, jitter=st.floats(0.0, 1.0))
    def time_passes(self, span: float, jitter: float) -> None:
        self.now += span
        self.the_timer_fires(jitter)

    @precondition(lambda self: self.fleet.deadline() < math.inf)
    @rule(jitter=st.floats(0.0, 1.0))
    def the_next_deadline_comes(self, jitter: float) -> None:
        self.now = max(self.now, self.fleet.deadline())
        self.the_timer_fires(jitter)
        assert self.fleet.deadline() > self.now, "the timer must not spin"

    @rule(span=SPANS)
    def the_daemon_is_late(self, span: float) -> None:
        self.now += span

    @rule(name=SITES)
    def a_tick_comes_unasked(self, name: str) -> None:
        self.happens(name, Tick())

    # The operating system.

    @precondition(lambda self: self.being_spawned)
    @rule(place=st.integers(0, len(NAMES)))
    def a_spawn_succeeds(self, place: int) -> None:
        self.spawn(self.being_spawned.pop(place % len(self.being_spawned)))

    @precondition(lambda self: self.being_spawned)
    @rule(place=st.integers(0, len(NAMES)), failure=FAILURES)
    def a_spawn_fails(self, place: int, failure: SpawnFailed) -> None:
        self.happens(self.being_spawned.pop(place % len(self.being_spawned)), failure)

    @precondition(lambda self: self.alive)
    @rule(place=st.integers(0, len(NAMES)), status=ENDS, jitter=st.floats(0, 1))
    def a_process_ends(self, place: int, status: int | None, jitter: float) -> None:
        self.end(sorted(self.alive)[place % len(self.alive)], status, jitter)

    @rule()
    def the_daemon_is_killed_and_another_one_takes_over(self) -> None:
        self.is_replaced(self.policies)

    @rule(name=SITES)
    def a_site_keeps_dying(self, name: str) -> None:
        self.happens(name, Wanted(Goal.UP))
        for _ in range(7):
            while self.being_spawned:
                self.spawn(self.being_spawned.pop())
            for pid in [pid for pid, site in self.alive.items() if site == name]:
                self.end(pid, 1)
            self.now = max(self.now, min(self.fleet.deadline(), self.now + 100.0))
            self.the_timer_fires()

    @rule(name=SITES, words=A_RUNNERS_WORD)
    def a_runner_speaks_perhaps_a_late_one(self, name: str, words: Event) -> None:
        self.happens(name, words)

    @rule(name=SITES)
    def a_worker_is_found_hanging_perhaps_a_dead_one(self, name: str) -> None:
        self.happens(name, Hung("its loop hung"))

    @rule(name=SITES)
    def a_worker_is_found_too_big_perhaps_a_dead_one(self, name: str) -> None:
        self.happens(name, Outgrown("uses 600M"))

    @rule(name=SITES)
    def what_was_in_the_way_ends(self, name: str) -> None:
        self.happens(name, Cleared())

    @rule()
    def all_starts_end(self) -> None:
        """Once nobody is starting any more, nobody is left in the queue."""
        for _ in range(2 * len(NAMES)):
            while self.being_spawned:
                self.spawn(self.being_spawned.pop())
            for name in self.fleet:
                self.happens(name, BecameReady())
        assert not self.in_state(Queued, Spawning, Starting)

    # What never happens.

    @invariant()
    def at_most_one_process_per_site(self) -> None:
        taken = [*self.being_spawned, *self.alive.values()]
        assert len(taken) == len(set(taken))

    @invariant()
    def no_process_is_forgotten(self) -> None:
        for pid, name in self.alive.items():
            assert pid_of(self.fleet[name]) == pid

    @invariant()
    def no_worker_believes_in_a_process_that_is_gone(self) -> None:
        pids = {pid_of(self.fleet[name]) for name in self.fleet} - {None}
        assert pids == set(self.alive)

    @invariant()
    def no_process_without_a_goal_or_a_deadline(self) -> None:
        for name in self.alive.values():
            worker = self.fleet[name]
            assert worker.goal is Goal.UP or deadline(worker) < math.inf

    @invariant()
    def who_is_wanted_up_has_a_process_a_deadline_a_place_in_the_queue_or_a_reason(self) -> None:
        for name in self.fleet:
            worker = self.fleet[name]
            if worker.goal is Goal.UP:
                assert (
                    pid_of(worker) is not None
                    or name in self.being_spawned
                    or deadline(worker) < math.inf
                    or isinstance(worker.state, Queued)
                    or reason(worker, self.now)
                )

    @invariant()
    def who_is_not_wanted_is_stopped_or_about_to_be(self) -> None:
        for name in self.fleet:
            if self.fleet[name].goal is Goal.DOWN:
                assert isinstance(self.fleet[name].state, Stopped | Spawning | Stopping)

    @invariant()
    def at_most_starts_at_once_paced_starts_hold_a_slot(self) -> None:
        holders = [name for name in self.fleet if self.holds_a_slot(name)]
        assert self.fleet.starts_at_once == 0 or len(holders) <= self.fleet.starts_at_once

    @invariant()
    def nobody_queues_while_a_slot_is_free(self) -> None:
        holders = [name for name in self.fleet if self.holds_a_slot(name, at=-math.inf)]
        if self.in_state(Queued):
            assert 0 < self.fleet.starts_at_once <= len(holders)

    @invariant()
    def nobody_s_deadline_is_forgotten(self) -> None:
        for name in self.fleet:
            assert self.fleet.deadline() <= deadline(self.fleet[name])

    @invariant()
    def who_queues_is_looked_at_before_half_a_minute_has_passed(self) -> None:
        if self.in_state(Queued) and not self.being_spawned:
            assert self.fleet.deadline() <= self.now + SLOT_SECONDS

    @invariant()
    def nothing_wakes_an_idle_fleet(self) -> None:
        if len(self.in_state(Running, Stopped, Finished)) == len(list(self.fleet)):
            assert self.fleet.deadline() == math.inf

    def teardown(self) -> None:
        if hasattr(self, "fleet"):
            self.time_alone_empties_the_queue()
            self.everybody_can_be_stopped()


AnyHistory.TestCase.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    stateful_step_count=40,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyHistory = AnyHistory.TestCase
