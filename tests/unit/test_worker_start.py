"""How STARTING ends: by the runner's word, by the clock, or not at all."""

import math

from linodmgr.core.effects import Kill, Spawn
from linodmgr.core.shown import word
from linodmgr.core.site import Policy
from linodmgr.core.states import (
    Hooks,
    Running,
    Spawning,
    Starting,
    Stopping,
    Waiting,
)
from linodmgr.core.worker import SLOT_SECONDS, deadline, pid_of
from tests.story import UP, Story


def test_a_wanted_worker_queues_and_is_spawned_when_its_turn_comes() -> None:
    noi = Story().wanted(UP)
    assert word(noi.worker) == "QUEUED"
    assert noi.effects == []

    noi.admitted()

    assert noi.state == Spawning(paced=True)
    assert noi.effects == [Spawn()]


def test_wanting_a_worker_twice_starts_one_process() -> None:
    noi = Story().wanted(UP).wanted(UP).admitted().wanted(UP).spawned(100).wanted(UP).ready().wanted(UP)

    assert noi.effects == [Spawn()]
    assert isinstance(noi.state, Running)


def test_a_new_process_is_starting_until_its_runner_says_ready() -> None:
    noi = Story().started(100, at=10.0)
    assert word(noi.worker) == "STARTING"
    assert noi.pid == 100

    noi.connected(at=10.5).ready(at=13.0)

    assert noi.state == Running(100, since=10.0, running_since=13.0, ready=True)
    assert deadline(noi.worker) == math.inf


def test_a_process_whose_runner_never_connects_is_running_after_settle() -> None:
    noi = Story(Policy(settle=5.0)).started(100, at=10.0)
    assert deadline(noi.worker) == 15.0

    noi.clock(at=15.0)

    assert noi.state == Running(100, since=10.0, running_since=15.0, ready=False)


def test_a_tick_before_the_deadline_changes_nothing() -> None:
    noi = Story(Policy(settle=5.0)).started(at=10.0)
    before = noi.worker

    noi.clock(at=14.9)

    assert noi.worker == before
    assert noi.last == []


def test_ready_after_settling_is_still_told() -> None:
    noi = Story(Policy(settle=5.0)).started(100, at=0.0).clock(at=5.0).ready(at=9.0)

    assert noi.state == Running(100, since=0.0, running_since=5.0, ready=True)


def test_a_connected_runner_gets_start_timeout_and_does_not_settle() -> None:
    noi = Story(Policy(settle=5.0, start_timeout=120.0)).started(at=10.0).connected(at=11.0)
    assert deadline(noi.worker) == 130.0

    noi.clock(at=129.9)

    assert isinstance(noi.state, Starting)


def test_connecting_twice_does_not_prolong_the_start() -> None:
    noi = Story(Policy(start_timeout=120.0)).started(at=0.0).connected(at=1.0).connected(at=60.0)

    assert deadline(noi.worker) == 120.0


def test_a_start_that_takes_too_long_is_killed_and_is_a_death() -> None:
    noi = Story(Policy(start_timeout=120.0)).started(100, at=0.0).connected(at=1.0)

    noi.clock(at=120.0)
    assert noi.last == [Kill(100)]
    assert word(noi.worker) == "STOPPING"

    noi.exited(-9, at=120.1)
    assert isinstance(noi.state, Waiting)
    assert noi.state.reason == "not ready after 120 s"
    assert noi.worker.early_deaths == 1


def test_a_killed_start_that_is_still_there_is_killed_again() -> None:
    noi = Story(Policy(start_timeout=120.0, stop_timeout=30.0)).started(100).connected().clock(at=120.0)

    noi.clock(at=150.0)

    assert noi.last == [Kill(100)]
    assert isinstance(noi.state, Stopping)
    assert noi.state.death


def test_an_unhooked_runner_settles_because_ready_will_never_come() -> None:
    noi = Story(Policy(settle=5.0)).started(100, at=0.0).connected(at=1.0).unhooked(at=2.0)
    assert deadline(noi.worker) == 5.0

    noi.clock(at=5.0)

    assert noi.state == Running(100, since=0.0, running_since=5.0, ready=False)


def test_a_runner_that_finds_itself_unhooked_late_settles_at_once() -> None:
    noi = Story(Policy(settle=5.0)).started(at=0.0).connected(at=1.0).unhooked(at=40.0)

    assert deadline(noi.worker) == 40.0


def test_a_hooked_word_after_unhooked_does_not_bring_the_start_timeout_back() -> None:
    noi = Story(Policy(settle=5.0)).started(at=0.0).unhooked(at=1.0).connected(at=2.0)

    assert isinstance(noi.state, Starting)
    assert noi.state.hooks is Hooks.NONE
    assert deadline(noi.worker) == 5.0


def test_a_paced_start_gives_its_slot_up_after_half_a_minute() -> None:
    noi = Story().started(at=10.0)

    assert isinstance(noi.state, Starting)
    assert noi.state.slot_until == 10.0 + SLOT_SECONDS == 40.0


def test_words_of_a_runner_without_a_process_change_nothing() -> None:
    for story in (Story(), Story().wanted(UP), Story().died_early(1)):
        before = story.worker

        story.connected().ready().unhooked()

        assert story.worker == before
        assert story.last == []


def test_only_states_with_a_process_have_a_pid() -> None:
    noi = Story()
    assert pid_of(noi.worker) is None
    assert pid_of(noi.wanted(UP).worker) is None
    assert pid_of(noi.admitted().worker) is None
    assert pid_of(noi.spawned(100).worker) == 100
    assert pid_of(noi.ready().worker) == 100
    assert pid_of(noi.restart_wanted().worker) == 100
    assert pid_of(noi.exited(0).worker) is None
