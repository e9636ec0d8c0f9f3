"""Describes jobs of the `schedule` package (0.6 to 1.2). Runs none."""

import contextlib
import functools
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, List, Optional, Set

SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}


def describe_all(jobs: List[Any]) -> List[Dict[str, object]]:
    """Return what is told of ``jobs``, each with an id of its own."""
    return [dict(describe(job), id=known) for job, known in zip(jobs, identities(jobs))]


def identities(jobs: Iterable[Any], taken: Iterable[str] = ()) -> List[str]:
    """Return an id of its own for each of ``jobs``, none of them one that is ``taken``."""
    known: Set[str] = set(taken)
    counts: Dict[str, int] = {}
    found = []
    for job in jobs:
        plain = one = identity(job)
        while one in known:
            counts[plain] = counts.get(plain, 1) + 1
            one = f"{plain} #{counts[plain]}"
        known.add(one)
        found.append(one)
    return found


def describe(job: Any) -> Dict[str, object]:
    """Return what the list mode tells of ``job``, if no other is named and timed alike."""
    return {
        "id": identity(job),
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


def told(job: Any, known: str, due: Optional[float], durable: bool) -> Dict[str, object]:
    """Return what the daemon is told of ``job``, whose id is ``known``; ``due`` is epoch seconds."""
    described = describe(job)
    return {
        "id": known,
        "name": described["name"],
        "schedule": described["schedule"],
        "interval": described["interval"],
        "at": described["at"],
        "next_run": due,
        "text": str(described["text"]).split(" (last run: ")[0],
        "durable": durable,
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
