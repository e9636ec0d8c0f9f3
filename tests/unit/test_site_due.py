"""When jobs of `schedule` are due where clocks are put forward and back, in several zones."""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from linodmgr.site import due
from tests.schedule_world import ShownClock, load, local

ZONES = (
    "Europe/Brussels",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "UTC",
)
BEGIN = int(datetime(2008, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp())  # Sao Paulo had summer time until 2019
END = int(datetime(2034, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp())
DAY = 86400

zones = st.sampled_from(ZONES)
instants = st.integers(BEGIN, END).map(float)
times = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda time: "{:02}:{:02}".format(*time))
night = st.tuples(st.integers(0, 3), st.integers(0, 59)).map(lambda time: "{:02}:{:02}".format(*time))


def changes(zone: str) -> list[float]:
    """Return when clocks are put forward or back in ``zone``."""
    place = ZoneInfo(zone)

    def offset(instant: int) -> Any:
        return datetime.fromtimestamp(instant, place).utcoffset()

    found = []
    for day in range(BEGIN, END, DAY):
        low, high = day, day + DAY
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        found.append(float(high))
    return found


CHANGES = {zone: changes(zone) for zone in ZONES}


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, float]:
    """Draw a zone and an instant, more often than not near a change of its clocks."""
    zone = draw(zones)
    near_a_change = draw(st.booleans())
    if CHANGES[zone] and near_a_change:
        return zone, draw(st.sampled_from(CHANGES[zone])) + draw(st.integers(-2 * DAY, 2 * DAY))
    return zone, draw(instants)


package = load()


class Pytz(tzinfo):
    """A time zone as pytz makes them: each moment carries one with a fixed offset."""

    def __init__(self, key: str, offset: timedelta | None = None) -> None:
        self.place = ZoneInfo(key)
        self.offset = offset

    def utcoffset(self, _when: datetime | None) -> timedelta | None:
        return self.offset

    def dst(self, _when: datetime | None) -> None:
        return None

    def tzname(self, _when: datetime | None) -> str:
        return self.place.key

    def fromutc(self, when: datetime) -> datetime:
        shown = when.replace(tzinfo=timezone.utc).astimezone(self.place)
        return shown.replace(tzinfo=Pytz(self.place.key, shown.utcoffset()), fold=0)

    def normalize(self, when: datetime) -> datetime:
        return self.fromutc(when.astimezone(timezone.utc))

    def localize(self, when: datetime, is_dst: bool) -> datetime:
        both = [when.replace(tzinfo=self.place, fold=fold).utcoffset() or timedelta() for fold in (0, 1)]
        return when.replace(tzinfo=Pytz(self.place.key, max(both) if is_dst else min(both)))


def planned(job: Any, now: float, used: float | None = None) -> float:
    """Return when ``job`` is due, as seen ``now``."""
    ShownClock.at = now
    job._schedule_next_run()
    return due.next_due(job, job.next_run, now, used)


def first(day: datetime, clock: str) -> float:
    """Return when clocks show ``clock`` on that day for the first time; later if they never do."""
    hour, minute = map(int, clock.split(":"))
    return day.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0).timestamp()


def regular(now: float, clock: str, days: int = 1) -> float:
    """Return the first time that clocks show ``clock`` after ``now``, found by looking at each day."""
    today = datetime.fromtimestamp(now)
    found = [first(today + timedelta(days=day), clock) for day in range(-2, 3 + days)]
    return min(one for one in found if one > now)


@given(moments(), st.one_of(times, night))
@example(("Europe/Brussels", 1761438600.0), "02:45")  # 02:30 in summer; 02:45 comes twice
@example(("Europe/Brussels", 1761442200.0), "02:45")  # 02:30 again, now in winter
@example(("Europe/Brussels", 1743296400.0), "02:30")  # 01:59:60 is 03:00, 02:30 is left out
@example(("America/Sao_Paulo", 1541300400.0), "00:15")  # midnight is left out
@example(("Pacific/Apia", 1325200000.0), "12:00")  # a whole day is left out
def test_a_time_of_day_comes_once_a_day_when_clocks_show_it_first(
    moment: tuple[str, float], clock: str
) -> None:
    zone, now = moment
    with local(zone):
        job = package.Scheduler().every().day.at(clock).do(print)

        assert planned(job, now) == regular(now, clock)


@given(moments(), zones, st.one_of(times, night))
def test_a_time_of_day_may_be_that_of_another_zone(moment: tuple[str, float], zone: str, clock: str) -> None:
    here, now = moment
    with local(here):
        job = package.Scheduler().every().day.at(clock)
        job.at_time_zone = Pytz(zone)
        job.do(print)
        found = planned(job, now)
        later = due.following(job, found, found)
    with local(zone):
        assert found == regular(now, clock)
        assert later == regular(found, clock)


@given(moments(), night, st.floats(0, 2 * 3600))
def test_a_time_that_was_used_up_never_comes_again(
    moment: tuple[str, float], clock: str, later: float
) -> None:
    zone, now = moment
    with local(zone):
        job = package.Scheduler().every().day.at(clock).do(print)
        used = planned(job, now)

        again = planned(job, used + later - 3600, used)  # maybe the clock was set back in between

        assert again == regular(max(used, used + later - 3600), clock)
        assert due.following(job, used, used) == regular(used, clock)


@given(moments(), st.integers(1, 100_000), st.sampled_from(["seconds", "minutes", "hours"]))
def test_an_interval_of_less_than_a_day_is_elapsed_time(
    moment: tuple[str, float], every: int, unit: str
) -> None:
    zone, now = moment
    with local(zone):
        job = package.Scheduler().every(every)
        job.unit = unit
        job.do(print)

        assert abs(planned(job, now) - now - due.period(job).total_seconds()) < 0.001


@given(moments(), st.integers(0, 59), st.integers(1, 5))
def test_a_minute_of_the_hour_is_the_one_on_the_clock(
    moment: tuple[str, float], minute: int, every: int
) -> None:
    zone, now = moment
    with local(zone):
        job = package.Scheduler().every(every).hours.at(f":{minute:02}").do(print)

        found = planned(job, now)
        later = due.following(job, found, found)

        assert [datetime.fromtimestamp(one).minute for one in (found, later)] == [minute, minute]
        assert now < found <= now + (every + 1.5) * 3600
        assert (every - 1) * 3600 < later - found <= (every + 1) * 3600


@given(moments(), st.integers(0, 59))
def test_a_second_of_the_minute_is_the_one_on_the_clock(moment: tuple[str, float], second: int) -> None:
    zone, now = moment
    with local(zone):
        job = package.Scheduler().every().minute.at(f":{second:02}").do(print)

        found = planned(job, now)

        assert found % 60 == second
        assert now < found <= now + 60


@given(moments(), st.integers(2, 40), st.one_of(times, night))
def test_every_so_many_days_is_counted_on_the_calendar(
    moment: tuple[str, float], every: int, clock: str
) -> None:
    zone, now = moment
    with local(zone):
        job = package.Scheduler().every(every).days.at(clock).do(print)

        found = planned(job, now)
        later = due.following(job, found, found)

        assert found > now
        days = datetime.fromtimestamp(later).date() - datetime.fromtimestamp(found).date()
        assert abs(days.days - every) <= 1, "a day more or less where midnight or a day is left out"
        assert due.epoch(due.at(job, due.wall(found))) == found


@given(moments(), st.sampled_from(["monday", "sunday"]), night)
def test_a_day_of_the_week_comes_once_a_week(moment: tuple[str, float], day: str, clock: str) -> None:
    zone, now = moment
    with local(zone):
        job = getattr(package.Scheduler().every(), day).at(clock).do(print)

        found = planned(job, now)

        weekday = 0 if day == "monday" else 6
        today = datetime.fromtimestamp(now)
        days = [today + timedelta(days=days) for days in range(-8, 16)]
        assert found == min(
            one for one in (first(day, clock) for day in days if day.weekday() == weekday) if one > now
        )


@given(moments(), st.integers(1, 5), st.integers(0, 5), st.sampled_from(["seconds", "hours", "days"]))
def test_a_range_stays_a_range(moment: tuple[str, float], every: int, more: int, unit: str) -> None:
    zone, now = moment
    with local(zone):
        job = package.Scheduler().every(every).to(every + more)
        job.unit = unit
        job.do(print)
        seconds = due.period(job).total_seconds()

        length = planned(job, now) - now

        most_change = 25 * 3600 if unit == "days" else 0.001
        assert seconds - most_change <= length <= seconds * (every + more) / every + most_change


def test_ten_seconds_are_ten_seconds_in_the_hour_that_comes_twice() -> None:
    with local("Europe/Brussels"):
        job = package.Scheduler().every(10).seconds.do(print)
        now = 1761440399.0  # 2025-10-26 02:59:59, a second before it is 02:00 again

        assert planned(job, now) == now + 10


def test_a_used_up_time_of_a_clock_that_was_years_ahead_does_not_count() -> None:
    with local("UTC"):
        job = package.Scheduler().every().day.at("20:00").do(print)

        assert planned(job, float(BEGIN), used=float(END)) == BEGIN + 20 * 3600
        assert not due.is_nonsense(job, BEGIN + DAY, float(BEGIN))


@given(moments(), st.integers(1, 40), st.floats(0, 30 * 3600))
def test_an_interval_goes_on_where_an_earlier_worker_has_begun_it(
    moment: tuple[str, float], hours: int, ago: float
) -> None:
    zone, now = moment
    with local(zone):
        job = package.Scheduler().every(hours).hours.do(print)
        fresh = planned(job, now)

        assert due.continued(job, fresh, now, now - ago) == pytest.approx(now - ago + hours * 3600, abs=0.01)
        assert due.continued(job, fresh, now, now + ago) == fresh, "an end that is still to come is none"


def test_jobs_with_a_day_or_an_hour_are_durable() -> None:
    every = package.Scheduler().every

    assert [
        due.is_durable(job)
        for job in (every(60).minutes, every().hour, every().day, every().monday, every(2).days.at("10:00"))
    ] == [True] * 5
    assert [due.is_durable(job) for job in (every(59).minutes, every().minute.at(":30"))] == [False] * 2
