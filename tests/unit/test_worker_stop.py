"""Stopping and starting again, in every order that people and processes can find."""

import pytest

from linodmgr.core.effects import Kill, Spawn, Terminate
from linodmgr.core.site import Policy, Restart
from linodmgr.core.states import (
    Goal,
    Lacking,
    Queued,
    Remedy,
    Resting,
    Running,
    Starting,
    Stopped,
    Stopping,
    Waiting,
)
from linodmgr.core.worker import deadline
from tests.story import DOWN, UP, Story


def test_a_stop_asks_the_main_process_first_and_kills_the_tree_at_stop_timeout() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100, at=0.0)

    noi.wanted(DOWN, at=50.0)
    assert noi.last == [Terminate(100)]
    assert noi.state == Stopping(100, since=0.0, kill_at=80.0)

    noi.clock(at=79.9)
    assert noi.last == []

    noi.clock(at=80.0)
    assert noi.last == [Kill(100)]


def test_a_process_that_outlives_the_kill_is_killed_again() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100, at=0.0).wanted(DOWN, at=50.0).clock(at=80.0)

    noi.clock(at=deadline(noi.worker))

    assert noi.now == 110.0
    assert noi.last == [Kill(100)]


def test_a_process_that_hangs_in_the_kernel_is_not_killed_more_than_once_a_second() -> None:
    noi = Story(Policy(stop_timeout=0.001)).ran(100, at=0.0).wanted(DOWN, at=50.0).clock(at=50.001)

    assert noi.last == [Kill(100)]
    assert deadline(noi.worker) == 51.001


def test_a_worker_that_ends_in_time_is_stopped_and_nobody_is_killed() -> None:
    noi = Story().ran(100).wanted(DOWN, at=50.0).exited(0, at=51.0)

    assert noi.state == Stopped()
    assert noi.effects == [Spawn(), Terminate(100)]
    assert noi.worker.restarts == 0


def test_stopping_twice_asks_once_and_keeps_the_deadline() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100).wanted(DOWN, at=50.0).wanted(DOWN, at=70.0)

    assert noi.effects == [Spawn(), Terminate(100)]
    assert deadline(noi.worker) == 80.0


def test_a_stop_while_starting_asks_the_process_to_end() -> None:
    noi = Story().started(100).wanted(DOWN)

    assert noi.last == [Terminate(100)]
    assert noi.exited(-15).state == Stopped()


@pytest.mark.parametrize(
    "story",
    [
        Story(),
        Story().wanted(UP),
        Story().died_early(5),
        Story().started().said(Resting("no jobs")).exited(0),
        Story().started().said(Lacking("no manage.py")).exited(1),
    ],
    ids=lambda story: type(story.state).__name__,
)
def test_a_stop_without_a_process_is_done_at_once(story: Story) -> None:
    story.wanted(DOWN)

    assert story.state == Stopped()
    assert story.last == []
    assert story.worker.early_deaths == 0


def test_a_stop_while_spawning_ends_the_process_as_soon_as_it_is_there() -> None:
    noi = Story().wanted(UP).admitted().wanted(DOWN)
    assert noi.last == []

    noi.spawned(100)

    assert noi.last == [Terminate(100)]
    assert noi.exited(-15).state == Stopped()


def test_a_stop_while_spawning_is_done_if_there_is_no_process() -> None:
    noi = Story().died_early(5).clock(at=100.0).admitted().wanted(DOWN).not_spawned("no", Remedy.BACKOFF)

    assert noi.state == Stopped()
    assert noi.worker.early_deaths == 0


def test_a_start_after_a_stop_while_spawning_keeps_the_process() -> None:
    noi = Story().wanted(UP).admitted().wanted(DOWN).wanted(UP).spawned(100)

    assert isinstance(noi.state, Starting)
    assert noi.effects == [Spawn()]


def test_a_start_while_stopping_starts_again_once_the_process_has_ended() -> None:
    noi = Story().ran(100).wanted(DOWN).wanted(UP)
    assert noi.effects == [Spawn(), Terminate(100)]

    noi.exited(0)
    assert noi.state == Queued()

    assert noi.admitted().last == [Spawn()]


def test_the_last_wish_counts() -> None:
    noi = Story().ran(100).wanted(DOWN).wanted(UP).wanted(DOWN).exited(0)

    assert noi.state == Stopped()


def test_a_restart_ends_the_process_and_starts_another() -> None:
    noi = Story().ran(100, at=0.0).restart_wanted(at=50.0)
    assert noi.last == [Terminate(100)]

    noi.exited(0, at=51.0)

    assert noi.state == Queued()
    assert noi.worker.goal is Goal.UP
    assert noi.worker.restarts == 0


def test_a_restart_while_starting_forgets_early_deaths() -> None:
    noi = Story().died_early(5).clock(at=100.0).admitted().spawned(101).restart_wanted()

    assert noi.last == [Terminate(101)]
    assert noi.worker.early_deaths == 0


def test_a_restart_happens_whatever_the_restart_policy_says() -> None:
    noi = Story(Policy(restart=Restart.NEVER)).ran(100).restart_wanted().exited(0)

    assert noi.state == Queued()


def test_a_restart_of_a_worker_that_hangs_kills_it_at_stop_timeout_and_starts_another() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100, at=0.0).restart_wanted(at=50.0).clock(at=80.0)
    assert noi.last == [Kill(100)]

    assert noi.exited(-9).state == Queued()


@pytest.mark.parametrize(
    "story",
    [Story(), Story().died_early(5), Story().started().said(Resting("no jobs")).exited(0)],
    ids=lambda story: type(story.state).__name__,
)
def test_a_restart_of_what_has_no_process_is_a_start(story: Story) -> None:
    story.restart_wanted()

    assert story.state == Queued()
    assert story.worker.goal is Goal.UP


def test_a_restart_while_spawning_needs_no_second_process() -> None:
    noi = Story().wanted(UP).admitted().restart_wanted().spawned(100)

    assert noi.effects == [Spawn()]
    assert isinstance(noi.state, Starting)


@pytest.mark.parametrize("wish", ["start", "restart"])
def test_a_person_need_not_wait_for_the_backoff_of_a_start_that_was_killed(wish: str) -> None:
    noi = Story().died_early(4).clock(at=100.0).admitted().spawned(100).connected().clock(at=220.0)
    assert isinstance(noi.state, Stopping)

    noi = noi.wanted(UP) if wish == "start" else noi.restart_wanted()
    noi.exited(-9)

    assert noi.state == Queued()
    assert noi.worker.early_deaths == 0


def test_a_stop_of_a_killed_start_ends_stopped_and_not_in_backoff() -> None:
    noi = Story().started(100).connected().clock(at=120.0).wanted(DOWN).exited(-9)

    assert noi.state == Stopped()


def test_an_end_that_comes_just_before_the_stop_is_a_death_and_the_stop_ends_the_backoff() -> None:
    noi = Story().ran().exited(1, at=1.0)
    assert isinstance(noi.state, Waiting)

    assert noi.wanted(DOWN).state == Stopped()


def test_a_start_of_a_running_worker_changes_nothing() -> None:
    noi = Story().ran(100)
    before = noi.worker

    noi.wanted(UP)

    assert noi.worker == before
    assert isinstance(noi.state, Running)
