"""A worker that hangs: its stacks are written, it is killed, and it is there again at once."""

from linodmgr.core.effects import Alert, Dump, Kill, Spawn, Terminate
from linodmgr.core.ending import FAILING_FROM
from linodmgr.core.shown import reason, word
from linodmgr.core.site import Policy, Restart
from linodmgr.core.states import Blocked, Finished, Queued, Remedy, Spawning, Stopped, Stopping, Waiting
from linodmgr.core.worker import deadline
from tests.story import DOWN, UP, Story


def test_its_stacks_are_asked_for_and_a_second_later_it_is_killed() -> None:
    noi = Story().ran(100, at=0.0).hung("its loop hung", at=500.0)

    assert noi.last == [Dump(100)]
    assert noi.state == Stopping(100, 0.0, kill_at=501.0, death="its loop hung", hung=True)
    assert (word(noi.worker), reason(noi.worker, noi.now)) == ("STOPPING", "its loop hung")

    noi.clock(at=deadline(noi.worker))
    assert noi.last == [Kill(100)]


def test_after_its_end_it_is_started_at_once_without_a_slot() -> None:
    noi = Story().ran(100, at=0.0).hung(at=500.0).clock(at=501.0).exited(-9)

    assert noi.state == Spawning(paced=False)
    assert noi.last == [Spawn()]
    assert (noi.worker.restarts, noi.worker.early_deaths) == (1, 0)


def test_a_short_run_does_not_keep_it_from_being_started_at_once() -> None:
    noi = Story(Policy(good_run=60.0)).ran(100, at=0.0).hung(at=5.0).clock(at=6.0).exited(-9)

    assert noi.state == Spawning(paced=False)
    assert noi.worker.early_deaths == 1


def test_one_that_keeps_hanging_right_after_its_start_does_not_keep_the_host_busy() -> None:
    noi = Story(Policy(good_run=60.0)).ran(100)
    for _ in range(FAILING_FROM - 1):
        noi.hung(at=noi.now + 0.1).exited(-9).spawned(100).ready()

    noi.hung().exited(-9)

    assert isinstance(noi.state, Waiting)
    assert noi.last == [Alert("it hung")]


def test_one_that_is_not_wanted_any_more_stays_down() -> None:
    noi = Story().ran(100).hung(at=500.0).wanted(DOWN).clock(at=501.0)
    assert noi.last == [Kill(100)]

    noi.exited(-9)

    assert noi.state == Stopped()


def test_one_that_is_never_to_be_started_again_is_not() -> None:
    noi = Story(Policy(restart=Restart.NEVER)).ran(100).hung("its loop hung", at=500.0).exited(-9)

    assert noi.state == Stopped("its loop hung")


def test_a_restart_that_a_person_wants_meanwhile_comes_in_its_turn() -> None:
    noi = Story().ran(100).hung(at=500.0).restart_wanted().clock(at=501.0)
    assert noi.last == [Kill(100)]

    noi.exited(-9)

    assert noi.state == Queued()


def test_one_that_hangs_while_it_starts_is_killed_too() -> None:
    noi = Story().started(100).hung(at=3.0)

    assert noi.last == [Dump(100)]


def test_a_hang_is_no_news_of_one_that_is_stopping() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100).wanted(DOWN, at=50.0).hung(at=51.0)

    assert noi.state == Stopping(100, 0.0, kill_at=80.0)
    assert noi.effects == [Spawn(), Terminate(100)]


def test_a_hang_is_no_news_of_one_that_has_no_process() -> None:
    stories = [
        Story(),
        Story().wanted(UP),
        Story().wanted(UP).admitted(),
        Story().started().exited(),
        Story().wanted(UP).admitted().not_spawned("no venv", Remedy.CHANGE),
    ]

    for story in stories:
        before = story.worker
        story.hung()
        assert (story.worker, story.last) == (before, [])
    assert isinstance(stories[-1].state, Blocked)
    assert not any(isinstance(story.state, Finished) for story in stories)
