"""Hooks for jobs of the `schedule` package (0.6 to 1.2), and their description."""

import contextlib
import functools
from datetime import datetime, timezone
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional

SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}


def hook(schedule: ModuleType, stop: Any, begins: Callable[[], None]) -> None:
    """Tell ``begins`` when the loop has begun, and ``stop`` of each run.

    Raises AttributeError if it does not fit.
    """
    scheduler, job = schedule.Scheduler, schedule.Job
    run_pending, run = scheduler.run_pending, job.run

    @functools.wraps(run_pending)
    def watched_run_pending(self: Any, *args: Any, **kwargs: Any) -> Any:
        if stop.is_ours():
            begins()
            stop.round()
        return run_pending(self, *args, **kwargs)

    @functools.wraps(run)
    def watched_run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if stop.is_ours():
            begins()  # somebody's own loop may not call run_pending
        with stop.job() as may_run:
            return run(self, *args, **kwargs) if may_run else None

    scheduler.run_pending, job.run = watched_run_pending, watched_run


def describe_all(jobs: List[Any]) -> List[Dict[str, object]]:
    """Return what is told of ``jobs``, each with an id of its own."""
    counts: Dict[str, int] = {}
    described = []
    for job in jobs:
        known = identity(job)
        counts[known] = counts.get(known, 0) + 1
        described.append(describe(job, counts[known]))
    return described


def describe(job: Any, ordinal: int = 1) -> Dict[str, object]:
    """Return what is told of ``job``, the ``ordinal``-th (from 1) of those that are named and timed alike."""
    return {
        "id": identity(job) + (f" #{ordinal}" if ordinal > 1 else ""),
        "name": name(job),
        "schedule": words(job),
        "interval": _interval(job),
        "at": str(job.at_time) if _is_time_of_day(job) else None,
        "last_run": instant(job.last_run),
        "next_run": instant(job.next_run),
        "enabled": True,
        "why": None,
        "text": _text(job),
    }


def identity(job: Any) -> str:
    """Return what names ``job`` from one start of the site to the next, but for an ordinal among equals."""
    function = _function(job)
    named = getattr(function, "__qualname__", None) or type(function).__qualname__
    module = getattr(function, "__module__", None) or type(function).__module__
    return f"{module}.{named} {words(job)}"


def name(job: Any) -> str:
    """Return the name of the job's function, for people."""
    function = _function(job)
    return str(getattr(function, "__name__", None) or type(function).__name__)


def words(job: Any) -> str:
    """Return when ``job`` runs, in words: "every 10 seconds", "every day at 20:00"."""
    unit = str(job.unit or "")
    latest = getattr(job, "latest", None)
    if latest is not None:
        said = f"every {job.interval} to {latest} {unit}"
    elif getattr(job, "start_day", None):
        said = "every " + ("" if job.interval == 1 else f"{job.interval} weeks on ") + job.start_day
    elif job.interval == 1:
        said = "every " + unit[:-1]
    else:
        said = f"every {job.interval} {unit}"
    said = said.rstrip() + _at(job)
    until = getattr(job, "cancel_after", None)
    return said + (f" until {until:%Y-%m-%d %H:%M:%S}" if isinstance(until, datetime) else "")


def instant(when: Optional[datetime]) -> Optional[str]:
    """Return ``when`` as RFC 3339 UTC; a naive one is local time of this process."""
    if when is None:
        return None
    return datetime.fromtimestamp(int(when.timestamp()), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _function(job: Any) -> Any:
    """Return what the job calls, without the partials around it; None if nothing was set."""
    function = job.job_func
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _is_time_of_day(job: Any) -> bool:
    return job.at_time is not None and (job.unit == "days" or bool(getattr(job, "start_day", None)))


def _at(job: Any) -> str:
    """Return " at 20:00", or " at :15" where it is a minute of each hour or a second of each minute."""
    if job.at_time is None:
        return ""
    if _is_time_of_day(job):
        zone = getattr(job, "at_time_zone", None)
        moment = str(job.at_time)
        return (
            " at " + (moment[:-3] if moment.endswith(":00") else moment) + (" " + str(zone) if zone else "")
        )
    if job.unit == "hours":
        at = job.at_time
        return f" at {at.minute:02}:{at.second:02}" if at.second else f" at :{at.minute:02}"
    return f" at :{job.at_time.second:02}"


def _interval(job: Any) -> Optional[int]:
    """Return the seconds between two runs; None if they differ from run to run."""
    if getattr(job, "latest", None) is not None or job.unit not in SECONDS:
        return None
    return int(job.interval * SECONDS[job.unit])


def _text(job: Any) -> str:
    """Return the line that Lino shows; without arguments if one of them cannot be shown."""
    with contextlib.suppress(Exception):
        return repr(job)
    said = words(job)
    return f"{said[:1].upper()}{said[1:]} do {name(job)}()"
