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
NO_ROW = "Lino has made no task for it yet"


def describe_all(mixins: ModuleType) -> List[Dict[str, object]]:
    """Return what the list mode prints of each task. Raises what the database raises.

    ``mixins`` is `lino.modlib.linod.mixins`.
    """
    return [_listed(facts) for facts in all_facts(mixins)]


def all_facts(mixins: ModuleType) -> List[Dict[str, object]]:
    """Return what is told of each task; instants are as Lino has them. Raises what the database raises.

    ``mixins`` is `lino.modlib.linod.mixins`.
    """
    found: List[Dict[str, object]] = []
    known = set()
    procedures = getattr(mixins, "Procedures", None)  # not before Lino 24.4
    for model in models(mixins):
        for task in model.objects.order_by("seqno"):
            found.append(facts_of(task))
            known.add((model._meta.label, _procedure(task)))
    for procedure in () if procedures is None else procedures.get_list_items():
        if procedure.class_name == SYSTEM_TASK and (SYSTEM_TASK, str(procedure.value)) not in known:
            found.append(facts_of_new(procedure))
    return found


def describe(task: Any) -> Dict[str, object]:
    """Return what the list mode prints of one row. ``running`` is what the row says, true or not."""
    return _listed(facts_of(task))


def facts_of(task: Any) -> Dict[str, object]:
    """Return what is told of one row; instants are as Lino has them."""
    disabled = bool(task.disabled)
    running = is_running(task)
    following = None if running else next_run(task)
    name = _name(task)
    return {
        "id": identity(task),
        "name": name,
        "schedule": words(task),
        "interval": _interval(_unit(task.every_unit), task.every),
        "at": None,
        "last_run": task.last_start_time,
        "next_run": following,
        "enabled": not disabled,
        "why": (last_line(task.message) or "it is disabled") if disabled else None,
        "running": running,
        "text": f"{_every(task)} do {name}()",
    }


def facts_of_new(procedure: Any) -> Dict[str, object]:
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
        "why": None if is_made else NO_ROW,
        "running": False,
        "text": f"{_every(task)} do {name}()",
    }


def identity(task: Any) -> str:
    """Return what names a row in all workers of its site."""
    return f"{task._meta.label}:{task.pk}"


def mark(task: Any) -> str:
    """Return what tells the run that a row says was started last; empty if none was.

    It is the same before and after the row was in the database, which may return another time zone.
    """
    started = task.last_start_time
    if started is None:
        return ""
    return str((started if started.tzinfo is None else started.astimezone(dt.timezone.utc)).isoformat())


def is_running(task: Any) -> bool:
    """Whether the row says that it runs, true or not."""
    return task.last_start_time is not None and task.last_end_time is None


def told(facts: Dict[str, object]) -> Dict[str, object]:
    """Return ``facts`` as ToldJob of the protocol: instants are seconds since the epoch."""
    fields = dict(facts, durable=False)
    del fields["running"]
    for key in ("last_run", "next_run"):
        fields[key] = epoch(facts[key])
    return fields


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


def models(mixins: Any) -> List[Any]:
    """Return the models whose rows the task runner looks at."""
    procedures = getattr(mixins, "Procedures", None)
    if procedures is not None:
        found = procedures.task_classes()
    else:
        from django.apps import apps

        found = [model for model in apps.get_models() if issubclass(model, mixins.Runnable)]
    return sorted(found, key=lambda model: str(model._meta.label))


def next_run(task: Any) -> Optional[dt.datetime]:
    """Return when the task runner would start ``task``, see `start_task_runner`."""
    now = dt.datetime.now(dt.timezone.utc)
    if getattr(task, "requested_at", None) is not None:
        return now
    if task.disabled:
        return None
    if task.last_end_time is None:
        return now
    try:
        following = task.get_next_suggested_date(task.last_end_time)
    except (AttributeError, TypeError, ValueError):
        return None  # Lino itself cannot tell
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


def epoch(when: Any) -> Optional[float]:
    """Return ``when`` as seconds since the epoch; a naive one is local time of this process."""
    return None if when is None else round(float(when.timestamp()), 3)


def _listed(facts: Dict[str, object]) -> Dict[str, object]:
    last, following = facts["last_run"], facts["next_run"]
    return dict(
        facts,
        last_run=_instant(last),
        next_run=_instant(following),
        text=f"{facts['text']} (last run: {_local(last)}, next run: {_local(following)})",
    )


def _procedure(task: Any) -> str:
    """Return the name of what the task calls; a row may outlive the plugin that had it."""
    return str(getattr(task.procedure, "value", task.procedure))


def _name(task: Any) -> str:
    return str(task.name or _procedure(task))


def _local(when: Any) -> str:
    """Return ``when`` in the site's own time, as `schedule` shows it."""
    if when is None:
        return "[never]"
    return _second(when).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _instant(when: Any) -> Optional[str]:
    return None if when is None else _second(when).strftime("%Y-%m-%dT%H:%M:%SZ")


def _second(when: dt.datetime) -> dt.datetime:
    """Return the second of ``when`` in UTC; a naive one is local time of this process."""
    return dt.datetime.fromtimestamp(int(when.timestamp()), dt.timezone.utc)
