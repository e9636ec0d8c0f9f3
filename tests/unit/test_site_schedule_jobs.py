"""How jobs of the schedule package are told in words."""

import functools
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import schedule

from linodmgr.site import schedule_jobs

NOON = datetime(2030, 6, 1, 12)


class Zone:
    """Stands for a pytz time zone."""

    def __str__(self) -> str:
        return "Europe/Brussels"


def zoned(job: Any) -> Any:
    job.at("20:00").at_time_zone = Zone()
    return job


def works() -> None:
    """Do nothing."""


class Callee:
    def __call__(self) -> None:
        """Do nothing."""

    def method(self) -> None:
        """Do nothing."""


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("it cannot be shown")


@pytest.fixture
def every() -> Callable[..., Any]:
    return schedule.Scheduler().every


def registered(job: Any, function: Any = works, *arguments: object) -> Any:
    job.job_func = functools.partial(function, *arguments)
    functools.update_wrapper(job.job_func, function)
    return job


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda every: every(10).seconds, "every 10 seconds"),
        (lambda every: every().second, "every second"),
        (lambda every: every(1).minutes, "every minute"),
        (lambda every: every().hour.at(":42"), "every hour at :42"),
        (lambda every: every(2).hours.at("30:15"), "every 2 hours at 30:15"),
        (lambda every: every().minute.at(":17"), "every minute at :17"),
        (lambda every: every().day.at("20:00"), "every day at 20:00"),
        (lambda every: every().day.at("20:00:30"), "every day at 20:00:30"),
        (lambda every: every().day.at("00:00"), "every day at 00:00"),
        (lambda every: zoned(every().day), "every day at 20:00 Europe/Brussels"),
        (lambda every: every(3).days.at("10:30"), "every 3 days at 10:30"),
        (lambda every: every().week, "every week"),
        (lambda every: every(2).weeks, "every 2 weeks"),
        (lambda every: every().monday, "every monday"),
        (lambda every: every().sunday.at("06:15"), "every sunday at 06:15"),
        (lambda every: every(5).to(10).minutes, "every 5 to 10 minutes"),
        (lambda every: every(5).minutes.until(NOON), "every 5 minutes until 2030-06-01 12:00:00"),
        (lambda every: every(), "every"),
    ],
)
def test_when_a_job_runs_is_said_in_words(
    make: Callable[..., Any], words: str, every: Callable[..., Any]
) -> None:
    assert schedule_jobs.words(make(every)) == words


@pytest.mark.parametrize(
    ("make", "interval", "at"),
    [
        (lambda every: every(10).seconds, 10, None),
        (lambda every: every(2).hours, 7200, None),
        (lambda every: every().hour.at(":42"), 3600, None),
        (lambda every: every().day.at("20:00"), 86400, "20:00:00"),
        (lambda every: every().monday.at("06:15"), 604800, "06:15:00"),
        (lambda every: every(5).to(10).minutes, None, None),
        (lambda every: every(), None, None),
    ],
)
def test_interval_and_time_of_day_are_told_where_they_are_fixed(
    make: Callable[..., Any], interval: int | None, at: str | None, every: Callable[..., Any]
) -> None:
    told = schedule_jobs.describe(registered(make(every)))

    assert (told["interval"], told["at"]) == (interval, at)


@pytest.mark.parametrize(
    ("function", "name", "identity"),
    [
        (works, "works", "{}.works"),
        (functools.partial(works), "works", "{}.works"),
        (functools.partial(functools.partial(works)), "works", "{}.works"),
        (Callee(), "Callee", "{}.Callee"),
        (Callee().method, "method", "{}.Callee.method"),
        (lambda: None, "<lambda>", "{}.<lambda>"),
        (print, "print", "builtins.print"),
    ],
)
def test_whatever_can_be_called_has_a_name(
    function: Any, name: str, identity: str, every: Callable[..., Any]
) -> None:
    job = registered(every(10).seconds, function)

    assert schedule_jobs.name(job) == name
    assert schedule_jobs.identity(job) == identity.format(__name__) + " every 10 seconds"


def test_equal_jobs_are_told_apart(every: Callable[..., Any]) -> None:
    jobs = [registered(every(10).seconds), registered(every(5).seconds), registered(every(10).seconds)]

    assert [job["id"] for job in schedule_jobs.describe_all(jobs)] == [
        f"{__name__}.works every 10 seconds",
        f"{__name__}.works every 5 seconds",
        f"{__name__}.works every 10 seconds #2",
    ]


def test_the_text_is_that_of_lino(every: Callable[..., Any]) -> None:
    job = every().day.at("20:00").do(works)

    assert schedule_jobs.describe(job)["text"] == repr(job)
    assert repr(job).startswith("Every 1 day at 20:00:00 do works() (last run: [never], next run: ")


def test_a_job_that_cannot_be_shown_has_a_text(every: Callable[..., Any]) -> None:
    job = registered(every(10).seconds, works, Unshowable())

    assert schedule_jobs.describe(job)["text"] == "Every 10 seconds do works()"


def test_instants_are_utc_whatever_the_time_zone_of_the_site() -> None:
    local = datetime(2030, 6, 1, 12, 0, 0, 999999)

    told = schedule_jobs.instant(local)

    assert told is not None
    assert datetime.fromisoformat(told.replace("Z", "+00:00")) == local.replace(microsecond=0).astimezone()
    assert schedule_jobs.instant(None) is None


def test_random_timings_never_raise(every: Callable[..., Any]) -> None:
    chance = random.Random(20)
    for _ in range(300):
        job = registered(every(chance.choice([1, 2, 90])))
        job.unit = chance.choice([None, "seconds", "minutes", "hours", "days", "weeks"])
        job.latest = chance.choice([None, 100])
        job.start_day = chance.choice([None, "monday"])
        job.at_time = chance.choice([None, NOON.time(), (NOON + timedelta(seconds=61)).time()])
        job.next_run = chance.choice([None, NOON])

        told = schedule_jobs.describe(job)

        assert str(told["schedule"]).startswith("every")
