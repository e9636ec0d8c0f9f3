"""Which rows of Lino's tasks are released, and how a run is asked for."""

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from linodmgr.site import lino_rows, lino_tasks

THEN = datetime(2030, 6, 1, 12, 0, 0, 5, tzinfo=timezone.utc)
NOW = THEN + timedelta(hours=1)
MARK = "2030-06-01T12:00:00.000005+00:00"


class Query:
    """Some rows of a table, and as much of Django's queries as is asked."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def filter(self, **wanted: Any) -> "Query":
        return Query([row for row in self._rows if fits(row, wanted)])

    def exclude(self, **unwanted: Any) -> "Query":
        return Query([row for row in self._rows if not fits(row, unwanted)])

    def order_by(self, _field: str) -> "Query":
        return self

    def update(self, **values: Any) -> int:
        for row in self._rows:
            vars(row).update(values)
        return len(self._rows)


def fits(row: Any, wanted: dict[str, Any]) -> bool:
    return all(
        (getattr(row, name[:-8]) is None) is value
        if name.endswith("__isnull")
        else getattr(row, name) == value
        for name, value in wanted.items()
    )


def model(label: str, *rows: Any, **fields: Any) -> Any:
    """Return what stands for a model and its table; ``fields`` that it has beside the usual ones."""
    meta = SimpleNamespace(label=label)
    for row in rows:
        row._meta = meta
    return SimpleNamespace(_meta=meta, objects=Query(list(rows)), **fields)


def row(pk: int, start: datetime | None = None, end: datetime | None = None) -> Any:
    return SimpleNamespace(
        pk=pk,
        name=f"works {pk}",
        last_start_time=start,
        last_end_time=end,
        requested_at=None,
        disabled=True,
        message="",
    )


def rows_of(*models: Any, past: dict[str, dict[str, object]] | None = None) -> lino_rows.Rows:
    procedures = SimpleNamespace(task_classes=lambda: models)
    return lino_rows.Rows(SimpleNamespace(Procedures=procedures), lino_tasks, past or {}, lambda: NOW)


def test_only_runs_that_we_had_told_are_released(capsys: pytest.CaptureFixture[str]) -> None:
    ours, same_time, other_time = row(1, THEN), row(2, THEN), row(3, THEN + timedelta(microseconds=1))
    elsewhere, ended = row(1, THEN), row(4, THEN, THEN)
    tasks = model("linod.SystemTask", ours, same_time, other_time, ended)
    others = model("invoicing.Task", elsewhere)
    past: dict[str, dict[str, object]] = {
        "linod.SystemTask:1": {"mark": MARK},
        "linod.SystemTask:2": {"mark": ""},
        "linod.SystemTask:3": {"mark": MARK},
        "linod.SystemTask:4": {"mark": MARK},
        "invoicing.Task:1": {"mark": MARK},
    }

    rows_of(tasks, others, past=past).release()

    assert (ours.last_start_time, ours.last_end_time) == (THEN, NOW)
    assert ours.message.startswith("Released by linodmgr: ")
    assert elsewhere.last_end_time == NOW
    assert (same_time.last_end_time, other_time.last_end_time) == (None, None)
    assert ended.last_end_time == THEN
    assert capsys.readouterr().err.splitlines() == [
        "linodmgr: invoicing.Task:1 works 1 is released: the worker that began it has died",
        "linodmgr: linod.SystemTask:1 works 1 is released: the worker that began it has died",
    ]


def test_a_mark_is_the_same_in_every_time_zone() -> None:
    there = timezone(timedelta(hours=2))

    assert lino_tasks.mark(row(1, THEN)) == MARK
    assert lino_tasks.mark(row(1, THEN.astimezone(there))) == MARK
    assert lino_tasks.mark(row(1, THEN.replace(tzinfo=None))) == "2030-06-01T12:00:00.000005"
    assert lino_tasks.mark(row(1)) == ""


def test_a_task_is_asked_for_as_lino_does() -> None:
    wanted = row(7, THEN, THEN)
    rows = rows_of(model("linod.SystemTask", row(1), wanted, requested_at=None))

    assert rows.ask("linod.SystemTask:7") == ""

    assert (wanted.last_start_time, wanted.last_end_time, wanted.disabled) == (None, None, True)
    assert wanted.requested_at == NOW
    assert wanted.message.startswith("Requested through linodmgr ")


def test_an_old_lino_enables_the_task_that_is_asked_for() -> None:
    wanted = row(7, THEN, THEN)

    assert rows_of(model("linod.SystemTask", wanted)).ask("linod.SystemTask:7") == ""

    assert (wanted.last_start_time, wanted.last_end_time, wanted.disabled) == (None, None, False)
    assert wanted.requested_at is None


def test_a_task_that_runs_or_is_not_there_is_not_asked_for() -> None:
    running = row(7, THEN)
    rows = rows_of(model("linod.SystemTask", running, requested_at=None))

    assert rows.ask("linod.SystemTask:7") == "it is running, its row in the site's database says"
    assert rows.ask("linod.SystemTask:8") == "'linod.SystemTask:8' is not a task of this site"

    assert (running.last_start_time, running.requested_at) == (THEN, None)


def test_only_errors_of_the_database_may_be_gone_the_next_time() -> None:
    from django.db.utils import OperationalError

    assert "django.db.utils" in sys.modules
    assert lino_rows.is_of_database(OperationalError("database is locked"))
    assert not lino_rows.is_of_database(AttributeError("x"))
