"""When jobs are due after a restart and after the clock was set, and what is told of it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from linodmgr.site import due, schedule_jobs
from linodmgr.site.on_schedule import hook
from linodmgr.site.plans import Plans
from tests.schedule_world import FakeClock, FakeRuns, NoStop, World, load, local

HOUR = 3600.0
DAY = 24 * HOUR
DAILY = "builtins.print every day at 20:00"
HOURLY = "builtins.print every hour"


@pytest.fixture(autouse=True)
def _zone() -> Iterator[None]:
    with local("UTC"):
        yield


@pytest.fixture
def noon() -> float:
    return datetime(2030, 6, 3, 12).timestamp()


@pytest.fixture
def world(noon: float) -> World:
    return World(noon)


def daily(world: World, **past: float) -> Any:
    """Return a job of every day at 20:00, of which ``past`` is known."""
    if past:
        world.runs.past[DAILY] = {"id": DAILY, **past}
    return world.package.every().day.at("20:00").do(print)


def hourly(world: World, **past: float) -> Any:
    if past:
        world.runs.past[HOURLY] = {"id": HOURLY, **past}
    return world.package.every().hour.do(print)


def test_a_missed_time_is_made_up_for_once_and_soon(world: World, noon: float) -> None:
    missed = noon - 16 * HOUR
    job = daily(world, started=missed - DAY, ended=missed - DAY, due=missed - DAY, next_run=missed)

    assert world.round() == []
    assert world.runs.jobs[0]["next_run"] == noon + 1
    world.clock.goes(1)
    begun, ended = world.round()

    assert begun == (
        "begun",
        DAILY,
        {"due": missed, "following": noon + 8 * HOUR, "stored": True, "caught_up": True},
    )
    assert ended == ("ended", "ok", noon + 8 * HOUR)
    assert job.next_run == datetime.fromtimestamp(noon + 8 * HOUR)
    assert world.runs_at(9 * HOUR, 60) == [pytest.approx(8 * HOUR, abs=60)]


def test_missed_jobs_are_made_up_for_one_after_the_other(world: World, noon: float) -> None:
    for hour in (8, 9, 10):
        known = f"builtins.print every day at {hour:02}:00"
        world.runs.past[known] = {"id": known, "due": noon - 3 * DAY, "next_run": noon - 2 * DAY}
        world.package.every().day.at(f"{hour:02}:00").do(print)

    assert world.runs_at(10) == [1, 3, 5]


def test_without_catching_up_a_missed_time_is_told_once(world: World, noon: float) -> None:
    world.runs.catch_up = False
    missed = noon - 16 * HOUR
    daily(world, due=missed - DAY, next_run=missed)

    assert world.round() == [("missed", DAILY, missed, noon + 8 * HOUR)]
    assert world.runs.jobs[0]["next_run"] == noon + 8 * HOUR
    assert world.runs_at(HOUR, 60) == []


def test_a_missed_time_of_an_interval_is_told_and_the_rhythm_stays(world: World, noon: float) -> None:
    world.runs.catch_up = False
    hourly(world, started=noon - 90 * 60, ended=noon - 90 * 60, due=noon - 90 * 60, next_run=noon - 30 * 60)

    assert world.round() == [("missed", HOURLY, noon - 30 * 60, noon + 30 * 60)]


@pytest.mark.parametrize("seconds", [0.0, 10.0, 4 * HOUR])
def test_a_time_that_was_used_up_is_not_run_again(world: World, noon: float, seconds: float) -> None:
    world.clock.goes(8 * HOUR + seconds)
    used = noon + 8 * HOUR
    daily(world, started=used, due=used, next_run=used + DAY)

    assert world.runs_at(60) == []
    assert world.runs.jobs[0]["next_run"] == used + DAY


def test_an_interval_goes_on_in_its_rhythm(world: World, noon: float) -> None:
    ended = noon - 50 * 60
    hourly(world, started=ended - 60, ended=ended, due=ended - 60, next_run=ended + HOUR)
    world.round()

    assert world.runs.jobs[0]["next_run"] == noon + 10 * 60


def test_an_interval_that_was_broken_off_counts_from_its_start(world: World, noon: float) -> None:
    known = "builtins.print every 10 minutes"
    world.runs.past[known] = {"id": known, "started": noon - 300, "ended": noon - 900}
    world.package.every(10).minutes.do(print)
    world.round()

    assert world.runs.jobs[0]["next_run"] == pytest.approx(noon + 300)


def test_an_interval_that_is_over_is_due_soon(world: World, noon: float) -> None:
    known = "builtins.print every 10 seconds"
    world.runs.past[known] = {"id": known, "started": noon - 300, "ended": noon - 300}
    world.package.every(10).seconds.do(print)

    assert world.runs_at(20) == [1, 11]


def test_an_interval_does_not_see_that_the_clock_was_set(world: World) -> None:
    world.package.every(10).seconds.do(print)
    assert world.runs_at(15) == [10]

    world.clock.is_set(-HOUR)
    assert world.runs_at(20) == [5, 15]
    world.clock.is_set(5 * HOUR)
    assert world.runs_at(20) == [5, 15]


def test_a_clock_that_was_set_while_a_job_ran_moves_the_others(world: World) -> None:
    def sets_the_clock() -> Any:
        world.clock.is_set(HOUR)
        return world.package.CancelJob

    world.package.every(10).seconds.do(sets_the_clock)
    world.package.every(15).seconds.do(print)

    assert world.runs_at(40) == [10, 15, 30]


def test_a_time_of_day_follows_the_clock(world: World, noon: float) -> None:
    daily(world)
    world.round()

    world.clock.is_set(-2 * HOUR)
    assert world.round() == [("moved", {DAILY: noon + 8 * HOUR})]
    assert world.runs_at(10.1 * HOUR, 60) == [10 * HOUR]


def test_a_clock_set_back_over_a_time_does_not_repeat_it(world: World, noon: float) -> None:
    daily(world)
    assert world.runs_at(9 * HOUR, 60) == [8 * HOUR]

    world.clock.is_set(-3 * HOUR)
    assert world.runs_at(3 * HOUR, 60) == []
    assert world.runs_at(DAY, 60) == [pytest.approx(23 * HOUR, abs=60)]


def test_a_clock_set_back_by_years_makes_no_job_wait_for_years(world: World, noon: float) -> None:
    daily(world)
    assert world.runs_at(9 * HOUR, 60) == [8 * HOUR]

    world.clock.is_set(-365 * DAY)
    assert world.runs_at(DAY, 60) == [23 * HOUR]


def test_a_time_that_the_clock_was_set_over_is_made_up_for(world: World, noon: float) -> None:
    daily(world)
    world.round()

    world.clock.is_set(10 * HOUR)
    assert world.runs_at(10) == [1]
    assert world.runs_at(DAY, 60) == [pytest.approx(22 * HOUR, abs=60)]


def test_a_clock_that_is_slightly_wrong_is_let_be(world: World) -> None:
    hourly(world)
    world.round()
    for _ in range(100):
        world.clock.goes(1)
        world.clock.is_set(0.1)
        assert world.round() == []


def test_what_is_asked_for_is_run_and_the_regular_time_stays(world: World, noon: float) -> None:
    daily(world)
    world.round()
    world.runs.wishes = [(DAILY, "token"), ("nobody", "other")]

    assert world.round() == [
        ("begun", DAILY, {"stored": True, "asked": "token"}),
        ("ended", "ok", noon + 8 * HOUR),
        ("declined", "other"),
    ]
    assert world.runs_at(9 * HOUR, 60) == [8 * HOUR]


def test_a_wish_is_fulfilled_after_the_job_that_runs(world: World, noon: float) -> None:
    def asks() -> None:
        world.runs.wishes.append((DAILY, "token"))

    world.package.every(10).seconds.do(asks)
    world.package.every(10).seconds.do(print)
    daily(world)
    world.round()
    world.clock.goes(10)

    jobs = [one[1] for one in world.round() if one[0] == "begun"]

    assert jobs == [
        f"{__name__}.{asks.__qualname__} every 10 seconds",
        DAILY,
        "builtins.print every 10 seconds",
    ]


def test_a_next_run_that_somebody_sets_counts_and_is_told(world: World, noon: float) -> None:
    job = daily(world)
    world.round()

    job.next_run = datetime.fromtimestamp(noon + 60)
    world.round()
    assert world.round() == [("moved", {DAILY: noon + 60})]
    assert world.runs_at(2 * HOUR, 1) == [60]


def test_a_job_with_a_last_time_ends_there(world: World, noon: float) -> None:
    world.package.every(10).seconds.until(timedelta(seconds=25)).do(print)

    assert world.runs_at(60) == [10, 20]
    assert world.package.jobs == []


def test_a_failing_job_with_a_last_time_ends_there_too(world: World, noon: float) -> None:
    world.package.every(10).seconds.until(timedelta(seconds=25)).do(lambda: 1 / 0)

    assert world.runs_at(60) == [10, 20]
    assert world.package.jobs == []
    assert [name for name, _ in world.failed] == ["<lambda>"] * 2


def test_jobs_keep_their_ids_when_others_go(world: World) -> None:
    first, second = (world.package.every(10).seconds.do(print) for _ in range(2))
    world.round()
    world.package.cancel_job(first)
    world.clock.goes(10)

    assert [one[1] for one in world.round() if one[0] == "begun"] == ["builtins.print every 10 seconds #2"]
    assert second in world.package.jobs


def test_the_seconds_until_the_next_job_are_those_that_pass() -> None:
    with local("Europe/Brussels"):
        world = World(1761440395.0)  # 02:59:55; in five seconds it is 02:00 again
        world.package.every(10).seconds.do(print)
        world.round()
        assert world.package.idle_seconds() == 10

        assert world.runs_at(25) == [10, 20]


def test_jobs_that_were_there_before_the_hooks_are_taken_over(noon: float) -> None:
    package: Any = load()
    clock = FakeClock(noon)
    package.every(10).seconds.do(print)
    package.every().day.at("20:00").do(print)
    runs, broken = FakeRuns(), list[str]()
    plans = Plans(runs, due, schedule_jobs, clock)
    hook(package, NoStop(), lambda: None, runs, plans, broken.append, lambda *_: None)

    package.run_pending()

    assert [job["next_run"] for job in runs.jobs] == [noon + 10, noon + 8 * HOUR]
    assert not broken


def test_what_is_not_a_schedule_is_not_hooked() -> None:
    with pytest.raises(AttributeError):
        hook(ModuleType("schedule"), NoStop(), lambda: None, FakeRuns(), None, print, print)
