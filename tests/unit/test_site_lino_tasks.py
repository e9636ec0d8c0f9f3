"""How Lino's tasks are told in the list mode."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from linodmgr.site import lino_tasks

THEN = datetime(2030, 6, 1, 12, 0, 0, tzinfo=timezone.utc)


def task(unit: str | None = "secondly", every: int = 10, **fields: Any) -> Any:
    """Stands for a row."""
    values = {
        "_meta": SimpleNamespace(label="linod.SystemTask"),
        "pk": 3,
        "name": "works",
        "every_unit": None if unit is None else SimpleNamespace(name=unit),
        "every": every,
        "positions": "",
        "disabled": False,
        "message": "",
        "last_start_time": None,
        "last_end_time": None,
        "requested_at": None,
        "get_next_suggested_date": lambda after: after + timedelta(seconds=every),
    }
    return SimpleNamespace(**{**values, **fields})


@pytest.mark.parametrize(
    ("row", "words", "text"),
    [
        (task(), "every 10 seconds", "Every 10 seconds do works() ("),
        (task("minutely", 1), "every minute", "Every 1 minute do works() ("),
        (task("daily", 1), "every day", "Every 1 day do works() ("),
        (task("weekly", 1, saturday=True), "every week on saturday", "Every 1 week on saturday do works() ("),
        (
            task("monthly", 1, positions="1 -1"),
            "every month at positions 1, -1",
            "Every 1 month at positions",
        ),
        (
            task("per_weekday", 1, monday=True, friday=True),
            "every day on monday, friday",
            "Every 1 day on mon",
        ),
        (task("never", 1, monday=True), "never", "Never do works() ("),
        (task(None, 1), "never", "Never do works() ("),
        (task("once", 1), "once", "Once do works() ("),
        (task("easter", 1), "every year, relative to easter", "Every year, relative to easter do works() ("),
    ],
)
def test_when_a_task_runs_is_said_in_words(row: Any, words: str, text: str) -> None:
    told = lino_tasks.describe(row)

    assert told["schedule"] == words
    assert str(told["text"]).startswith(text)


def test_a_task_that_ran_comes_again_when_lino_suggests() -> None:
    told = lino_tasks.describe(task(last_start_time=THEN, last_end_time=THEN + timedelta(seconds=1)))

    assert told["id"] == "linod.SystemTask:3"
    assert (told["last_run"], told["next_run"]) == ("2030-06-01T12:00:00Z", "2030-06-01T12:00:11Z")
    assert (told["enabled"], told["why"], told["running"]) == (True, None, False)


def test_a_suggestion_may_be_a_day_or_nothing() -> None:
    ran: dict[str, Any] = {"last_start_time": THEN, "last_end_time": THEN}

    never = lino_tasks.describe(task(**ran, get_next_suggested_date=lambda after: None))
    some_day = lino_tasks.describe(task(**ran, get_next_suggested_date=lambda after: after.date()))

    assert never["next_run"] is None
    assert str(some_day["text"]).endswith("next run: 2030-06-01 00:00:00)")


def test_a_row_about_which_lino_knows_nothing_is_told_all_the_same() -> None:
    def unknown(after: datetime) -> datetime:
        raise TypeError

    row = task(name="", procedure="gone", last_start_time=THEN, last_end_time=THEN)
    row.get_next_suggested_date = unknown

    told = lino_tasks.describe(row)

    assert (told["name"], told["next_run"]) == ("gone", None)


def test_instants_are_told_to_the_daemon_as_seconds_since_the_epoch() -> None:
    ran = task(last_start_time=THEN, last_end_time=THEN + timedelta(seconds=1))

    told = lino_tasks.told(lino_tasks.facts_of(ran))

    assert (told["last_run"], told["next_run"]) == (THEN.timestamp(), THEN.timestamp() + 11)
    assert (told["text"], told["durable"]) == ("Every 10 seconds do works()", False)
    assert "running" not in told


def test_a_task_that_never_ran_or_is_asked_for_runs_now() -> None:
    assert lino_tasks.describe(task())["next_run"] is not None
    assert lino_tasks.describe(task(disabled=True, requested_at=THEN))["next_run"] is not None


def test_a_task_that_runs_has_no_next_run() -> None:
    told = lino_tasks.describe(task(last_start_time=THEN))

    assert (told["running"], told["next_run"]) == (True, None)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("<pre>some\nlog\n\nTraceback\nValueError: 1 &lt; 2\n</pre>", "ValueError: 1 < 2"),
        ("<pre>TypeError: <class 'x'> is wrong</pre>", "TypeError: <class 'x'> is wrong"),
        ("", "it is disabled"),
        (None, "it is disabled"),
    ],
)
def test_a_disabled_task_says_why(message: str | None, why: str) -> None:
    told = lino_tasks.describe(task(disabled=True, message=message))

    assert (told["enabled"], told["why"], told["next_run"]) == (False, why, None)
