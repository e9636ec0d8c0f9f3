"""What cannot be started until something changes, and what cannot happen at all."""

import math

import pytest

from linodmgr.core.effects import Puzzle
from linodmgr.core.shown import word
from linodmgr.core.site import Policy
from linodmgr.core.states import (
    Admitted,
    Blocked,
    Cleared,
    Event,
    Exited,
    Lacking,
    Queued,
    Remedy,
    Running,
    Spawned,
    SpawnFailed,
    Stopping,
    Waiting,
)
from linodmgr.core.worker import deadline
from tests.story import DOWN, UP, Story

STRANGER = "another linod runs for this directory (pid 4711, started by supervisord)"


def blocked(remedy: Remedy = Remedy.RETRY) -> Story:
    return Story(Policy(backoff_max=60.0)).wanted(UP, at=10.0).admitted().not_spawned(STRANGER, remedy)


def test_what_is_missing_or_in_the_way_is_tried_again_after_backoff_max() -> None:
    noi = blocked()
    assert word(noi.worker) == "BLOCKED"
    assert deadline(noi.worker) == 70.0

    noi.clock(at=70.0)

    assert noi.state == Queued()


def test_what_only_a_change_can_help_is_not_tried_again() -> None:
    noi = blocked(Remedy.CHANGE)

    assert noi.state == Blocked(STRANGER, retry_at=math.inf)
    assert deadline(noi.worker) == math.inf


@pytest.mark.parametrize("remedy", [Remedy.RETRY, Remedy.CHANGE])
def test_a_blocked_worker_is_tried_at_once_when_the_way_is_clear(remedy: Remedy) -> None:
    assert blocked(remedy).cleared().state == Queued()


def test_a_blocked_worker_is_tried_at_once_when_a_person_wants_it() -> None:
    assert blocked(Remedy.CHANGE).wanted(UP).state == Queued()
    assert blocked(Remedy.CHANGE).restart_wanted().state == Queued()


def test_a_cleared_way_means_nothing_to_who_is_not_blocked() -> None:
    for story in (Story(), Story().ran(), Story().died_early(1), blocked().wanted(DOWN)):
        before = story.worker

        story.cleared()

        assert story.worker == before
        assert story.last == []


def test_a_worker_whose_runner_misses_something_is_blocked_once_it_has_ended() -> None:
    noi = Story().started(at=0.0).connected().said(Lacking("no manage.py in /srv/noi")).exited(1, at=0.3)

    assert noi.state == Blocked("no manage.py in /srv/noi", retry_at=0.3 + 60.0)


def test_being_blocked_is_no_death() -> None:
    noi = Story().died_early(2).clock(at=50.0).admitted().spawned(100).said(Lacking("no venv")).exited(1)

    assert noi.worker.early_deaths == 2
    assert noi.worker.restarts == 2
    assert blocked().worker.early_deaths == 0


@pytest.mark.parametrize(
    ("story", "event"),
    [
        (Story(), Admitted()),
        (Story(), Spawned(100)),
        (Story(), SpawnFailed("no venv", Remedy.RETRY)),
        (Story(), Exited(100, 0, "exited with status 0")),
        (Story().wanted(UP), Spawned(100)),
        (Story().wanted(UP), Exited(100, 0, "exited with status 0")),
        (Story().wanted(UP).admitted(), Admitted()),
        (Story().wanted(UP).admitted(), Exited(100, 0, "exited with status 0")),
        (Story().started(100), Spawned(101)),
        (Story().started(100), Exited(99, 0, "exited with status 0")),
        (Story().ran(100), Exited(99, 0, "exited with status 0")),
        (Story().ran(100), SpawnFailed("no venv", Remedy.RETRY)),
        (Story().ran(100).wanted(DOWN), Exited(99, 0, "exited with status 0")),
        (Story().died_early(1), Exited(100, 0, "exited with status 0")),
        (blocked(), Exited(100, 0, "exited with status 0")),
    ],
    ids=lambda part: type(part.state if isinstance(part, Story) else part).__name__,
)
def test_what_cannot_happen_is_a_puzzle_and_changes_nothing(story: Story, event: Event) -> None:
    before = story.worker

    story.tell(event)

    assert story.last == [Puzzle(event)]
    assert story.worker == before


@pytest.mark.parametrize("story", [Story(), Story().wanted(UP), Story().wanted(UP).admitted(), Story().ran()])
def test_a_tick_means_nothing_to_who_waits_for_nothing(story: Story) -> None:
    before = story.worker

    story.clock(at=1e9)

    assert story.worker == before
    assert story.last == []


def test_the_clock_reaching_infinity_is_not_a_deadline() -> None:
    noi = Story().ran()

    noi.clock(at=math.inf)

    assert isinstance(noi.state, Running)


def test_a_remark_that_comes_too_late_changes_nothing() -> None:
    noi = Story().ran().wanted(DOWN).said(Lacking("no venv"))
    assert isinstance(noi.state, Stopping)

    noi.wanted(UP)

    assert noi.exited(1).state == Queued()


def test_a_blocked_worker_that_runs_out_of_something_backs_off() -> None:
    noi = blocked().clock(at=70.0).admitted().not_spawned("out of memory", Remedy.BACKOFF)

    assert noi.state == Waiting("out of memory", 71.0)


def test_events_do_not_wake_the_blocked_before_their_time() -> None:
    noi = blocked().clock(at=69.0)

    assert isinstance(noi.state, Blocked)
    assert noi.tell(Cleared()).state == Queued()
