"""When the loop wakes, and what it does when the clock was set back."""

import signal
from datetime import datetime, timedelta

import pytest
import schedule

from linodmgr.linod.loop import LONGEST_WAIT, Loop, local_now, mend
from linodmgr.site.stopping import Stop

SECOND = timedelta(seconds=1)
SOON = timedelta(seconds=5)
HOUR = timedelta(hours=1)


@pytest.fixture
def scheduler() -> schedule.Scheduler:
    """A scheduler of its own."""
    return schedule.Scheduler()


def read_inbox() -> None:
    """Stands for any job."""


def due(job: schedule.Job, now: datetime) -> datetime:
    """Return when ``job`` runs next, once it was mended at ``now``."""
    mend([job], now)
    assert job.next_run is not None
    return job.next_run


def wait(scheduler: schedule.Scheduler) -> float:
    """Seconds that a loop of the jobs of ``scheduler`` would wait."""
    return Loop(Stop(signal.SIGTERM), scheduler).seconds_to_wait()


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
    loop = Loop(Stop(signal.SIGTERM), scheduler)
    job = scheduler.every(10).seconds.do(read_inbox)
    assert loop.seconds_to_wait() <= 10
    scheduler.clear()
    assert loop.seconds_to_wait() == LONGEST_WAIT
    assert job not in loop.jobs


def test_a_job_that_returns_cancel_job_is_gone(scheduler: schedule.Scheduler) -> None:
    scheduler.every(10).seconds.do(lambda: schedule.CancelJob).next_run = local_now()
    Loop(Stop(signal.SIGTERM), scheduler).run_pending()
    assert scheduler.jobs == []


@pytest.mark.parametrize("set_back", [HOUR, timedelta(days=400)])
def test_a_clock_set_back_does_not_make_a_job_wait(
    scheduler: schedule.Scheduler, set_back: timedelta
) -> None:
    often = scheduler.every(10).seconds.do(read_inbox)
    often.next_run = local_now() + set_back + SOON
    assert due(often, local_now()) <= local_now() + 10 * SECOND


def test_a_daily_job_does_not_wait_for_years(scheduler: schedule.Scheduler) -> None:
    daily = scheduler.every().day.at("20:00").do(read_inbox)
    assert daily.next_run is not None
    regular = daily.next_run
    daily.next_run = regular + timedelta(days=400)
    assert due(daily, local_now()) <= regular + timedelta(days=1)


@pytest.mark.parametrize(
    "timing",
    [
        schedule.every(10).seconds,
        schedule.every(5).to(10).minutes,
        schedule.every(3).hours.at(":30"),
        schedule.every().day.at("20:00"),
        schedule.every(2).days.at("20:00"),
        schedule.every().monday,
        schedule.every().monday.at("20:00"),
        schedule.every(2).weeks,
    ],
    ids=lambda timing: f"{timing.interval} {timing.unit} {timing.at_time}",
)
def test_a_job_that_is_due_in_its_time_is_left_alone(
    timing: schedule.Job, scheduler: schedule.Scheduler
) -> None:
    timing.scheduler = scheduler
    job = timing.do(read_inbox)
    regular = job.next_run
    assert due(job, local_now()) == regular
