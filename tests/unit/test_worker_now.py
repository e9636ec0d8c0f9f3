"""Stopping without letting a job end."""

from linodmgr.core.effects import Dump, Kill, Terminate
from linodmgr.core.shown import reason
from linodmgr.core.site import Policy
from linodmgr.core.states import Queued, RestartWanted, Running, Stopped, Stopping, Wanted
from tests.story import DOWN, UP, Story

STOP_NOW, RESTART_NOW = Wanted(DOWN, now=True), RestartWanted(now=True)


def test_a_stop_at_once_kills_the_tree_and_asks_nobody() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100, at=0.0)

    noi.tell(STOP_NOW, at=50.0)

    assert noi.last == [Kill(100)]
    assert noi.state == Stopping(100, since=0.0, kill_at=80.0, killed=True)
    assert noi.exited(-9).state == Stopped()


def test_a_stop_at_once_ends_also_a_stop_that_waits_for_a_job() -> None:
    noi = Story(Policy(stop_timeout=3600.0)).ran(100).wanted(DOWN, at=50.0)

    noi.tell(STOP_NOW, at=60.0)

    assert noi.effects[-2:] == [Terminate(100), Kill(100)]
    assert reason(noi.worker, noi.now) == "killed, its end is awaited"


def test_what_outlives_a_stop_at_once_is_killed_again() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100).tell(STOP_NOW, at=50.0)

    assert noi.clock(at=79.9).last == []
    assert noi.clock(at=80.0).last == [Kill(100)]


def test_a_worker_that_was_killed_at_its_stop_timeout_says_so() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100).wanted(DOWN, at=50.0)
    assert reason(noi.worker, 60.0) == "killed in 20 s if it is still there"

    noi.clock(at=80.0)

    assert reason(noi.worker, 80.0) == "killed, its end is awaited"


def test_a_restart_at_once_kills_and_starts_again_without_a_backoff() -> None:
    noi = Story().ran(100).tell(RESTART_NOW, at=1.0)
    assert noi.last == [Kill(100)]

    noi.exited(-9)

    assert noi.state == Queued()
    assert (noi.worker.early_deaths, noi.worker.restarts) == (0, 0)


def test_a_restart_at_once_ends_a_stop_that_is_under_way() -> None:
    noi = Story().ran(100).wanted(DOWN).tell(RESTART_NOW, at=1.0)
    assert noi.last == [Kill(100)]
    assert noi.worker.goal is UP

    assert noi.exited(-9).state == Queued()


def test_a_stop_at_once_does_not_wait_for_the_stacks_of_a_hanging_worker() -> None:
    noi = Story().ran(100).hung(at=500.0).tell(STOP_NOW, at=500.1)

    assert noi.effects[-2:] == [Dump(100), Kill(100)]
    assert noi.exited(-9).state == Stopped()


def test_a_stop_at_once_of_what_has_no_process_only_stops() -> None:
    for noi in (Story(), Story().wanted(UP), Story().started().exited(1)):
        noi.tell(STOP_NOW)

        assert noi.last == []
        assert noi.state == Stopped()


def test_a_start_that_is_ordered_already_is_stopped_once_it_is_there() -> None:
    noi = Story().wanted(UP).admitted().tell(STOP_NOW)

    assert noi.spawned(100).last == [Terminate(100)]


def test_a_wish_to_have_it_up_kills_nobody() -> None:
    noi = Story().ran(100).tell(Wanted(UP, now=True))

    assert noi.last == []
    assert isinstance(noi.state, Running)
