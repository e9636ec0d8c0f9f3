"""When the loop wakes."""

from datetime import datetime, timedelta

import pytest
import schedule

from linodmgr.linod.loop import LONGEST_WAIT, Loop

HOUR = timedelta(hours=1)


@pytest.fixture
def scheduler() -> schedule.Scheduler:
    """A scheduler of its own."""
    return schedule.Scheduler()


def read_inbox() -> None:
    """Stands for any job."""


def wait(scheduler: schedule.Scheduler) -> float:
    """Seconds that a loop of the jobs of ``scheduler`` would wait."""
    return Loop(None, scheduler).seconds_to_wait()


def local_now() -> datetime:
    return datetime.now().astimezone().replace(tzinfo=None)


def test_it_sleeps_until_the_next_job_is_due(scheduler: schedule.Scheduler) -> None:
    scheduler.every(30).seconds.do(read_inbox)
    scheduler.every(20).seconds.do(read_inbox)
    assert 0 < wait(scheduler) <= 20


def test_it_does_not_sleep_if_a_job_is_due(scheduler: schedule.Scheduler) -> None:
    scheduler.every(30).seconds.do(read_inbox).next_run = local_now() - HOUR
    assert wait(scheduler) == 0


def test_it_looks_at_the_clock_now_and_then(scheduler: schedule.Scheduler) -> None:
    assert wait(scheduler) == LONGEST_WAIT, "a job that ended itself may be followed by another"
    scheduler.every(12).hours.do(read_inbox)
    assert wait(scheduler) == LONGEST_WAIT


def test_jobs_added_and_cancelled_while_it_runs_are_seen(scheduler: schedule.Scheduler) -> None:
    loop = Loop(None, scheduler)
    job = scheduler.every(10).seconds.do(read_inbox)
    assert loop.seconds_to_wait() <= 10
    scheduler.clear()
    assert loop.seconds_to_wait() == LONGEST_WAIT
    assert job not in loop.jobs


def test_a_job_that_returns_cancel_job_is_gone(scheduler: schedule.Scheduler) -> None:
    scheduler.every(10).seconds.do(lambda: schedule.CancelJob).next_run = local_now()
    Loop(None, scheduler).run_pending()
    assert scheduler.jobs == []
