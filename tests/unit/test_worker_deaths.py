"""What follows a death: at once after a good run, else later and later; and what is no death."""

import pytest

from linodmgr.core.effects import Alert, Spawn
from linodmgr.core.ending import backoff
from linodmgr.core.shown import word
from linodmgr.core.site import Policy, Restart
from linodmgr.core.states import (
    Finished,
    Remarking,
    Remedy,
    Resting,
    Running,
    Silent,
    Spawning,
    Starting,
    Stopped,
    Waiting,
)
from linodmgr.core.worker import deadline, is_failing
from tests.story import UP, Story

ON_FAILURE = Policy(restart=Restart.ON_FAILURE)
NEVER = Policy(restart=Restart.NEVER)


def test_a_worker_that_had_run_well_is_started_again_at_once_and_needs_no_slot() -> None:
    noi = Story(Policy(good_run=60.0)).ran(100, at=0.0)

    noi.exited(-9, at=60.0)

    assert noi.state == Spawning(paced=False)
    assert noi.last == [Spawn()]
    assert noi.worker.restarts == 1


def test_a_restart_at_once_does_not_hold_a_slot_while_starting() -> None:
    noi = Story().ran(100, at=0.0).exited(-9, at=60.0).spawned(101)

    assert isinstance(noi.state, Starting)
    assert noi.state.slot_until < 0


def test_the_good_run_begins_with_ready_and_not_with_the_process() -> None:
    noi = Story(Policy(good_run=60.0)).started(at=0.0).connected().ready(at=10.0)

    noi.exited(at=69.9)

    assert isinstance(noi.state, Waiting)


def test_early_deaths_are_waited_for_longer_and_longer_up_to_backoff_max() -> None:
    noi = Story(Policy(backoff_max=60.0))
    waits = []

    for _ in range(8):
        noi.died_early(1)
        assert isinstance(noi.state, Waiting)
        waits.append(noi.state.retry_at - noi.now)

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, 4.0), (0.5, 5.0), (1.0, 6.0)])
def test_chance_stretches_a_wait_by_up_to_half(jitter: float, wait: float) -> None:
    noi = Story(jitter=jitter).died_early(3)

    assert isinstance(noi.state, Waiting)
    assert noi.state.retry_at - noi.now == wait


def test_a_worker_that_died_a_million_times_still_has_a_next_try() -> None:
    assert backoff(1_000_000, 0.0, at_most=60.0) == 60.0


def test_a_waiting_worker_queues_when_its_time_has_come() -> None:
    noi = Story().died_early(1)
    assert word(noi.worker) == "BACKOFF"

    noi.clock(at=deadline(noi.worker))

    assert word(noi.worker) == "QUEUED"


def test_the_count_of_early_deaths_starts_anew_after_a_good_run() -> None:
    noi = Story().died_early(3)
    noi.clock(at=100.0).admitted().spawned(100).ready().exited(at=200.0)
    assert noi.worker.early_deaths == 0

    noi.spawned(101).exited(at=200.1)

    assert isinstance(noi.state, Waiting)
    assert noi.state.retry_at - noi.now == 1.0


def test_the_fifth_early_death_in_a_row_marks_the_worker_failing() -> None:
    noi = Story().died_early(4)
    assert not is_failing(noi.worker)

    noi.died_early(1)

    assert is_failing(noi.worker)
    assert word(noi.worker) == "BACKOFF"


def test_a_failing_worker_is_told_once() -> None:
    noi = Story().died_early(9)

    alerts = [effect for effect in noi.effects if isinstance(effect, Alert)]
    assert alerts == [Alert("exited with status 1 after 0.0 s")]


def test_the_mark_stays_while_it_starts_and_goes_when_it_runs() -> None:
    noi = Story().died_early(5).clock(at=100.0).admitted().spawned(100)
    assert word(noi.worker) == "STARTING"
    assert is_failing(noi.worker)

    noi.ready()

    assert not is_failing(noi.worker)


def test_an_early_death_after_ready_still_counts_as_in_a_row() -> None:
    noi = Story().died_early(5).clock(at=100.0).admitted().spawned(100).ready().exited(at=101.0)

    assert noi.worker.early_deaths == 6
    assert is_failing(noi.worker)


def test_a_failing_worker_is_never_given_up() -> None:
    noi = Story(Policy(backoff_max=60.0)).died_early(100)

    assert isinstance(noi.state, Waiting)
    assert noi.state.retry_at == noi.now + 60.0
    assert noi.worker.restarts == 100


def test_a_scarce_resource_at_the_spawn_is_backoff() -> None:
    noi = Story().wanted(UP).admitted().not_spawned("out of processes", Remedy.BACKOFF)

    assert noi.state == Waiting("out of processes", noi.now + 1.0)


def test_a_remark_of_the_runner_is_part_of_the_reason() -> None:
    noi = Story().started(at=0.0).connected().said(Remarking("a job called sys.exit")).exited(0, at=0.2)

    assert isinstance(noi.state, Waiting)
    assert noi.state.reason == "exited with status 0 after 0.2 s: a job called sys.exit"


@pytest.mark.parametrize("why", ["does not use linod", "no jobs"])
def test_a_worker_that_says_it_has_nothing_to_do_and_ends_with_0_is_idle(why: str) -> None:
    noi = Story().started(at=0.0).connected().said(Resting(why)).exited(0, at=3.0)

    assert noi.state == Finished(why)
    assert word(noi.worker) == "IDLE"
    assert deadline(noi.worker) > 1e300


def test_a_worker_that_says_it_has_nothing_to_do_after_settling_is_idle_too() -> None:
    noi = Story().started(at=0.0).clock(at=5.0).said(Resting("no jobs")).exited(0, at=9.0)

    assert noi.state == Finished("no jobs")


def test_nothing_to_do_but_another_status_is_a_death() -> None:
    noi = Story().started().connected().said(Resting("no jobs")).exited(1)

    assert isinstance(noi.state, Waiting)


def test_an_end_that_nobody_saw_is_a_death_whatever_was_said_before() -> None:
    unseen = [
        Story(Policy(restart=restart)).ran(at=0.0).said(words).exited(None, at=1.0)
        for restart in (Restart.ALWAYS, Restart.ON_FAILURE)
        for words in (Silent(), Resting("no jobs"))
    ]

    assert {story.state for story in unseen} == {Waiting("ended, nobody saw how after 1.0 s", 2.0)}


def test_status_0_without_words_is_a_death_because_a_job_may_call_sys_exit() -> None:
    for story in (Story().started(), Story().ran()):
        story.exited(0, at=1.0)

        assert isinstance(story.state, Waiting)
        assert story.state.reason == "exited with status 0 after 1.0 s"


def test_an_idle_worker_forgets_its_early_deaths() -> None:
    noi = Story().died_early(5).clock(at=100.0).admitted().spawned(100).said(Resting("no jobs")).exited(0)

    assert noi.worker.early_deaths == 0


def test_on_failure_spares_a_status_0_after_ready() -> None:
    noi = Story(ON_FAILURE).ran(at=0.0).exited(0, at=2.0)

    assert noi.state == Stopped("exited with status 0 after 2.0 s")


def test_on_failure_takes_a_status_0_before_ready_for_a_death() -> None:
    starting = Story(ON_FAILURE).started().exited(0)
    settled = Story(ON_FAILURE).started().clock(at=5.0).exited(0)

    assert isinstance(starting.state, Waiting)
    assert isinstance(settled.state, Waiting)


def test_on_failure_starts_a_crashed_worker_again() -> None:
    assert isinstance(Story(ON_FAILURE).ran().exited(1).state, Waiting)
    assert Story(ON_FAILURE).ran(at=0.0).exited(-9, at=60.0).last == [Spawn()]


def test_never_leaves_a_dead_worker_stopped_and_says_why() -> None:
    early = Story(NEVER).started(at=0.0).exited(1, at=0.2)
    late = Story(NEVER).ran(at=0.0).exited(-11, at=100.0)

    assert early.state == Stopped("exited with status 1 after 0.2 s")
    assert late.state == Stopped("ended by signal 11 after 100.0 s")
    assert early.worker.restarts == late.worker.restarts == 0


def test_a_stopped_worker_does_not_carry_the_mark_failing() -> None:
    noi = Story(NEVER).wanted(UP)
    for _ in range(5):
        noi.admitted().not_spawned("out of processes", Remedy.BACKOFF).clock(at=deadline(noi.worker))
    assert is_failing(noi.worker)

    noi.admitted().spawned(100).exited(1)

    assert isinstance(noi.state, Stopped)
    assert not is_failing(noi.worker)


def test_a_person_who_starts_a_waiting_worker_does_not_wait_and_the_count_starts_anew() -> None:
    noi = Story().died_early(5).wanted(UP)

    assert word(noi.worker) == "QUEUED"
    assert noi.worker.early_deaths == 0


def test_a_new_incident_is_told_again() -> None:
    noi = Story().died_early(5).wanted(UP).admitted().spawned(100).exited().died_early(4)

    assert [type(effect) for effect in noi.effects].count(Alert) == 2


def test_running_well_never_alerts() -> None:
    noi = Story().ran()
    for hour in range(1, 10):
        noi.exited(-9, at=hour * 3600.0).spawned(100 + hour).ready()

    assert Alert not in [type(effect) for effect in noi.effects]
    assert isinstance(noi.state, Running)
