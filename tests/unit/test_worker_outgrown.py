"""A worker that uses too much memory: it ends between two jobs, and is started again."""

from linodmgr.core.effects import Alert, Kill, Terminate
from linodmgr.core.shown import reason, word
from linodmgr.core.site import Policy, Restart
from linodmgr.core.states import Queued, Stopped, Stopping, Waiting, Worker
from linodmgr.core.worker import is_failing
from tests.story import DOWN, UP, Story


def test_it_may_end_its_job_and_says_why_it_ends() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100, at=0.0).outgrown("uses 600M", at=500.0)

    assert noi.last == [Terminate(100)]
    assert noi.state == Stopping(100, 0.0, kill_at=530.0, why="uses 600M")
    assert (word(noi.worker), reason(noi.worker, noi.now)) == ("STOPPING", "uses 600M")


def test_one_that_does_not_end_is_killed() -> None:
    noi = Story(Policy(stop_timeout=30.0)).ran(100, at=0.0).outgrown(at=500.0).clock(at=530.0)

    assert noi.last == [Kill(100)]


def test_its_end_is_a_restart_and_no_death() -> None:
    noi = Story(Policy(restart=Restart.NEVER)).ran(100, at=0.0).outgrown(at=500.0).exited(-9)

    assert noi.state == Queued()
    assert (noi.worker.restarts, noi.worker.early_deaths) == (1, 0)


def test_one_that_is_always_too_big_early_waits_longer_and_longer() -> None:
    noi = Story(Policy(good_run=60.0)).ran(100, at=0.0)
    for pid in range(101, 105):
        noi.outgrown().exited(0)
        assert noi.state == Queued()
        noi.admitted().spawned(pid).ready()

    noi.outgrown("uses 600M", at=20.0).exited(0)

    assert noi.state == Waiting("uses 600M", retry_at=36.0)
    assert noi.last == [Alert("uses 600M")]
    assert is_failing(noi.worker)
    noi.clock(at=36.0).admitted().spawned(105).ready().outgrown(at=96.0).exited(0)
    assert noi.worker == Worker(state=Queued(), goal=UP, early_deaths=0, restarts=6)


def test_one_that_is_not_wanted_any_more_stays_down() -> None:
    noi = Story().ran(100).outgrown(at=500.0).wanted(DOWN).exited(0)

    assert noi.state == Stopped()


def test_one_that_starts_may_be_too_big_already() -> None:
    noi = Story().started(100).outgrown(at=1.0)

    assert noi.last == [Terminate(100)]


def test_who_is_on_the_way_out_or_has_no_process_hears_nothing() -> None:
    noi = Story().ran(100).wanted(DOWN, at=1.0)
    before = noi.worker
    assert noi.outgrown().worker == before

    noi.exited(0)
    assert noi.outgrown().state == Stopped()
    assert noi.last == []

    noi.wanted(UP).outgrown()
    assert noi.state == Queued()
