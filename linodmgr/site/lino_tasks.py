"""Describes the tasks of Lino 24 and later as its task runner would see them now. Runs none."""

import datetime as dt
import html
import re
from types import ModuleType, SimpleNamespace
from typing import Any, Dict, List, Optional

SECONDS = {"secondly": 1, "minutely": 60, "hourly": 3600, "daily": 86400, "weekly": 604800}
UNITS = {
    "secondly": "second",
    "minutely": "minute",
    "hourly": "hour",
    "daily": "day",
    "per_weekday": "day",
    "weekly": "week",
    "monthly": "month",
    "yearly": "year",
}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SYSTEM_TASK = "linod.SystemTask"


def describe_all(mixins: ModuleType) -> List[Dict[str, object]]:
    """Return what is told of each task. Raises what the database raises.

    ``mixins`` is `lino.modlib.linod.mixins`.
    """
    described: List[Dict[str, object]] = []
    known = set()
    procedures = getattr(mixins, "Procedures", None)  # not before Lino 24.4
    for model in _models(mixins, procedures):
        for task in model.objects.order_by("seqno"):
            described.append(describe(task))
            known.add((model._meta.label, str(task.procedure.value)))
    for procedure in () if procedures is None else procedures.get_list_items():
        if procedure.class_name == SYSTEM_TASK and (SYSTEM_TASK, str(procedure.value)) not in known:
            described.append(describe_new(procedure))
    return described


def describe(task: Any) -> Dict[str, object]:
    """Return what is told of one row. ``running`` is what the row says, true or not."""
    disabled = bool(task.disabled)
    running = task.last_start_time is not None and task.last_end_time is None
    following = None if running else _next_run(task)
    name = str(task.name or task.procedure.value)
    return {
        "id": f"{task._meta.label}:{task.pk}",
        "name": name,
        "schedule": words(task),
        "interval": _interval(_unit(task.every_unit), task.every),
        "at": None,
        "last_run": _instant(task.last_start_time),
        "next_run": _instant(following),
        "enabled": not disabled,
        "why": (last_line(task.message) or "it is disabled") if disabled else None,
        "running": running,
        "text": _text(_every(task), name, task.last_start_time, following),
    }


def describe_new(procedure: Any) -> Dict[str, object]:
    """Return what is told of a procedure that has no row yet.

    When the task runner starts it makes one, and runs it; before Lino 25.7 others had to make it.
    """
    task = SimpleNamespace(**dict({"every_unit": "never", "every": 1, "positions": ""}, **procedure.kwargs))
    is_made = hasattr(procedure, "install_if_needed")
    name = str(procedure.value)
    return {
        "id": f"{SYSTEM_TASK}:{name}",
        "name": name,
        "schedule": words(task),
        "interval": _interval(_unit(task.every_unit), task.every),
        "at": None,
        "last_run": None,
        "next_run": None,
        "enabled": is_made,
        "why": None if is_made else "Lino has made no task for it yet",
        "running": False,
        "text": _text(_every(task), name, None, None),
    }


def words(task: Any) -> str:
    """Return when ``task`` runs, in words: "every 10 seconds", "every week on monday, friday"."""
    unit = _unit(task.every_unit)
    said = _words(unit, task.every)
    days = [day for day in WEEKDAYS if getattr(task, day, False)]
    if unit not in ("never", "once") and days:
        said += " on " + ", ".join(days)
    if unit in UNITS and task.positions:
        said += " at positions {}".format(", ".join(task.positions.split()))
    return said


def last_line(message: object) -> str:
    """Return the last line that says something in a log message, which is HTML around plain text.

    >>> last_line("<pre>Traceback\\nValueError: 1 < 2\\n</pre>")
    'ValueError: 1 < 2'
    """
    text = re.sub(r"</?(pre|p|div|br)\b[^<>]*>", "\n", str(message or ""))
    lines = [line.strip() for line in html.unescape(text).splitlines()]
    return next((line for line in reversed(lines) if line), "")


def _models(mixins: Any, procedures: Any) -> List[Any]:
    """Return the models whose rows the task runner looks at."""
    if procedures is not None:
        found = procedures.task_classes()
    else:
        from django.apps import apps

        found = [model for model in apps.get_models() if issubclass(model, mixins.Runnable)]
    return sorted(found, key=lambda model: str(model._meta.label))


def _next_run(task: Any) -> Optional[dt.datetime]:
    """Return when the task runner would start ``task``, see `start_task_runner`."""
    now = dt.datetime.now(dt.timezone.utc)
    if getattr(task, "requested_at", None) is not None:
        return now
    if task.disabled:
        return None
    if task.last_end_time is None:
        return now
    following = task.get_next_suggested_date(task.last_end_time)
    if following is None or isinstance(following, dt.datetime):
        return following
    return dt.datetime.combine(following, dt.time())


def _unit(unit: Any) -> str:
    """Return the name of a unit, which a row has as a choice and a procedure as a text."""
    return unit if isinstance(unit, str) else str(getattr(unit, "name", None) or "never")


def _words(unit: str, every: int) -> str:
    if unit not in UNITS:
        return {"easter": "every year, relative to easter"}.get(unit, unit)
    return f"every {UNITS[unit]}" if every == 1 else f"every {every} {UNITS[unit]}s"


def _every(task: Any) -> str:
    """Return the beginning of the task's line: "Every 1 day", as `schedule` counts."""
    unit = _unit(task.every_unit)
    return _counted(unit, task.every) + words(task)[len(_words(unit, task.every)) :]


def _counted(unit: str, every: int) -> str:
    if unit not in UNITS:
        said = _words(unit, every)
        return said[:1].upper() + said[1:]
    return "Every {} {}{}".format(every, UNITS[unit], "" if every == 1 else "s")


def _interval(unit: str, every: int) -> Optional[int]:
    return SECONDS[unit] * every if unit in SECONDS else None


def _text(every: str, name: str, last: Optional[dt.datetime], following: Any) -> str:
    return f"{every} do {name}() (last run: {_local(last)}, next run: {_local(following)})"


def _local(when: Optional[dt.datetime]) -> str:
    """Return ``when`` in the site's own time, as `schedule` shows it."""
    if when is None:
        return "[never]"
    return _second(when).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _instant(when: Optional[dt.datetime]) -> Optional[str]:
    return None if when is None else _second(when).strftime("%Y-%m-%dT%H:%M:%SZ")


def _second(when: dt.datetime) -> dt.datetime:
    """Return the second of ``when`` in UTC; a naive one is local time of this process."""
    return dt.datetime.fromtimestamp(int(when.timestamp()), dt.timezone.utc)
