"""When a job of the `schedule` package is due: instants are epoch seconds, wall time is the process's own.

`schedule` (1.2.2) reckons in naive local time and so is wrong where clocks change: here a period of less
than a day is elapsed time, and days, weeks and times of day are wall time. A time that comes twice is the
first of both, one that is left out is as much later (PEP 495, fold=0). ``job`` is a `schedule.Job` or what
looks like one; it is only read.
"""

import time
from datetime import datetime, timedelta
from typing import Any, Optional

HOUR = 3600.0  # seconds
STEP = 3.0  # seconds by which a clock that was set differs from one that nobody sets


class Clock:
    """The clock on the wall, and whether it was set."""

    def __init__(self) -> None:
        self._apart = self.now() - self.steady()

    def now(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()

    def steady(self) -> float:
        """Return seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
        try:
            return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", 7))  # has a name since Python 3.7
        except OSError:
            return time.monotonic()

    def step(self) -> float:
        """Return by how many seconds the clock was set since this was asked last, 0.0 if it was not."""
        apart = self.now() - self.steady()
        step, self._apart = apart - self._apart, apart
        return step if abs(step) > STEP else 0.0


def wall(instant: float, zone: Any = None) -> datetime:
    """Return what clocks show at ``instant``, in ``zone`` (of pytz) or where the process is; naive."""
    if zone is None:
        return datetime.fromtimestamp(instant)  # noqa: DTZ006 - as `schedule` has it
    return datetime.fromtimestamp(instant, zone).replace(tzinfo=None)


def epoch(moment: datetime, zone: Any = None) -> float:
    """Return when clocks show ``moment``, which is naive."""
    if zone is None:
        return moment.replace(fold=0).timestamp()
    both = [zone.localize(moment, is_dst=summer) for summer in (True, False)]
    shown = [one for one in both if zone.normalize(one).replace(tzinfo=None) == moment]
    return float(min(one.timestamp() for one in shown) if shown else max(one.timestamp() for one in both))


def is_wall(job: Any) -> bool:
    """Whether its times are those on a clock on the wall, not elapsed time."""
    return job.unit in ("days", "weeks")


def has_time(job: Any) -> bool:
    """Whether it has a regular time: of day, of week, of hour or of minute. Else it has only an interval."""
    return job.at_time is not None or getattr(job, "start_day", None) is not None


def is_durable(job: Any) -> bool:
    """Whether no due time may be used twice or be missed: it has a time of day, or a period of an hour."""
    return is_wall(job) or period(job).total_seconds() >= HOUR


def period(job: Any) -> timedelta:
    """Return the least time between two runs."""
    return timedelta(**{job.unit: job.interval})


def next_due(job: Any, answer: datetime, now: float, used: Optional[float] = None) -> float:
    """Return when ``job`` is due, for which `schedule` gave the ``answer`` ``now``.

    That is later than ``now`` and than ``used``, the regular time that was used up last, if there is one.
    """
    earliest = now if used is None or is_nonsense(job, used, now) else max(now, used)
    if not is_wall(job):
        return _next_elapsed(job, answer, now, earliest)
    zone = getattr(job, "at_time_zone", None)
    moment = answer if zone is None else at(job, wall(epoch(answer), zone))
    moment = _after(job, moment, earliest)
    if has_time(job) and job.interval == 1 and getattr(job, "latest", None) is None:
        # One that a gap has made later than the clock shows, or that an old `schedule` has left out.
        while epoch(moment - period(job), zone) > earliest:
            moment -= period(job)
    return epoch(moment, zone)


def following(job: Any, due: float, now: float) -> float:
    """Return the regular time after ``due``, later than ``now`` too; an interval is counted from now."""
    if not is_wall(job):
        if not has_time(job):
            return now + period(job).total_seconds()
        return _next_regular(job, due, max(now, due))
    zone = getattr(job, "at_time_zone", None)
    return epoch(_after(job, at(job, wall(due, zone)), max(now, due)), zone)


def on_grid(job: Any, due: float, now: float) -> float:
    """Return ``due``, or a time whole periods later that is later than ``now``."""
    if due > now or is_wall(job) or has_time(job):
        return due if due > now else following(job, due, now)
    length = period(job).total_seconds()
    return due + length * ((now - due) // length + 1)


def continued(job: Any, fresh: float, since: float, last: float) -> float:
    """Return when an interval is over that began at ``last``, not at ``since``, which made ``fresh``."""
    if last >= since:
        return fresh  # of a clock that was wrong
    if is_wall(job) and getattr(job, "latest", None) is None:
        return min(epoch(wall(last) + period(job)), fresh)
    return last + (fresh - since)


def is_nonsense(job: Any, used: float, now: float) -> bool:
    """Whether ``used`` cannot be a time that was used up: a wrong clock has said so."""
    longest = timedelta(**{job.unit: max(job.interval, getattr(job, "latest", None) or 0)})
    return used > now + longest.total_seconds() + HOUR  # a period of wall time may be longer


def at(job: Any, moment: datetime) -> datetime:
    """Return ``moment`` at the job's time of day; as it is if there is none."""
    time = job.at_time
    if time is None or not is_wall(job):
        return moment
    return moment.replace(hour=time.hour, minute=time.minute, second=time.second, microsecond=0)


def _after(job: Any, moment: datetime, earliest: float) -> datetime:
    """Return ``moment``, or the first moment whole periods later that is later than ``earliest``."""
    step = period(job)
    while step and epoch(moment, getattr(job, "at_time_zone", None)) <= earliest:
        moment += step
    return moment


def _next_elapsed(job: Any, answer: datetime, now: float, earliest: float) -> float:
    later = (answer - wall(now)).total_seconds()
    if job.at_time is None:
        return now + later
    if getattr(job, "at_time_zone", None) is None:
        return _next_regular(job, now + later, earliest)
    return epoch(answer) if epoch(answer) > earliest else now + later


def _next_regular(job: Any, due: float, earliest: float) -> float:
    """Return ``due``, or a time whole periods later, when clocks show the minute and second of the job."""
    due = _aligned(job, due)
    while period(job) and due <= earliest:
        due = _aligned(job, due + period(job).total_seconds())
    return due


def _aligned(job: Any, due: float) -> float:
    """Return the first time from ``due`` on when clocks show the job's minute (of an hour) and second."""
    due = float(round(due))
    shown = wall(due, getattr(job, "at_time_zone", None))
    late = job.at_time.second - shown.second
    if job.unit == "minutes":
        return due + float(late % 60)
    return due + float((late + 60 * (job.at_time.minute - shown.minute)) % 3600)
