"""How jobs are declared, without a process."""

import doctest
import functools
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import schedule
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test.utils import override_settings

from linodmgr.linod import jobs, schedule_daily, schedule_often

MODULE = """\
import functools

from linodmgr.linod import schedule_often

def careful(function):
    @functools.wraps(function)
    def wrapper():
        function()
    return wrapper

@schedule_often
def plain():
    pass

@schedule_often
@careful
def wrapped():
    pass

@schedule_often
def doubled():
    pass

@schedule_often
def doubled():
    "Another function of the same name: a slip that must be seen in the list."

for word in ["one", "two"]:
    schedule_often(lambda: print(word))
"""


@pytest.fixture(autouse=True)
def site() -> Iterator[None]:
    """A site that uses linod and has no jobs yet."""
    if not settings.configured:
        settings.configure()
    schedule.clear()
    with override_settings(USE_LINOD=True):
        yield
    schedule.clear()


def read_inbox() -> None:
    """Stands for any job."""


def made(word: str) -> Callable[[], None]:
    """Return another function each time."""
    return lambda: print(word)


def listed() -> list[str]:
    """Return the jobs as people read them, without their times."""
    return [repr(job).partition(" (last run")[0] for job in schedule.get_jobs()]


def imported(path: Path, name: str) -> ModuleType:
    """Return the module in ``path``, run once more, as ``name``."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_examples_of_the_docstrings_are_so() -> None:
    assert doctest.testmod(jobs).failed == 0


@pytest.mark.parametrize(
    ("decorate", "text"),
    [
        (schedule_often, "Every 10 seconds do read_inbox()"),
        (schedule_often(), "Every 10 seconds do read_inbox()"),
        (schedule_often(30), "Every 30 seconds do read_inbox()"),
        (schedule_often(every=1), "Every 1 second do read_inbox()"),
        (schedule_daily, "Every 1 day at 20:00:00 do read_inbox()"),
        (schedule_daily(), "Every 1 day at 20:00:00 do read_inbox()"),
        (schedule_daily("00:00"), "Every 1 day at 00:00:00 do read_inbox()"),
        (schedule_daily(at="23:59:59"), "Every 1 day at 23:59:59 do read_inbox()"),
    ],
)
def test_decorators_are_used_bare_and_with_arguments(decorate: Any, text: str) -> None:
    assert decorate(read_inbox) is read_inbox
    assert listed() == [text]


@pytest.mark.parametrize("use_linod", [True, False])
@pytest.mark.parametrize("every", [0, -1, 0.5, "10", True, None, 10**12])
def test_a_wrong_interval_is_told_with_the_name_of_the_job(every: Any, use_linod: bool) -> None:
    with override_settings(USE_LINOD=use_linod), pytest.raises(ImproperlyConfigured) as told:
        schedule_often(every=every)(read_inbox)
    said = f"every must be a whole number of seconds, 1 to {jobs.LONGEST}, got {every!r}"
    assert str(told.value) == f"cannot schedule {__name__}.read_inbox: {said}"
    assert listed() == []


@pytest.mark.parametrize("use_linod", [True, False])
@pytest.mark.parametrize(
    "at", ["25:00", "24:00", "9:00", "20:60", "20:00:61", "", "20.00", "20:00\n", 20, None]
)
def test_a_wrong_time_is_told_with_the_name_of_the_job(at: Any, use_linod: bool) -> None:
    with override_settings(USE_LINOD=use_linod), pytest.raises(ImproperlyConfigured) as told:
        schedule_daily(at=at)(read_inbox)
    said = f'at must be a time of day like "20:00" or "20:00:30", got {at!r}'
    assert str(told.value) == f"cannot schedule {__name__}.read_inbox: {said}"
    assert listed() == []


def test_a_function_that_needs_arguments_is_no_job() -> None:
    def send(ar: object) -> None:
        """Lino's newer jobs have an argument."""

    declared: Any = send
    with pytest.raises(ImproperlyConfigured, match=r"send: a job is called without arguments: .* 'ar'"):
        schedule_often(declared)


def test_a_coroutine_function_is_no_job() -> None:
    async def send() -> None:
        """Nobody would await it."""

    with pytest.raises(ImproperlyConfigured, match="send: it is a coroutine function"):
        schedule_often(send)


def test_nothing_is_registered_where_linod_is_not_used() -> None:
    with override_settings(USE_LINOD=False):
        assert schedule_often(read_inbox) is read_inbox
        assert schedule_daily(at="08:00")(read_inbox) is read_inbox
    assert listed() == []


def test_a_function_decorated_twice_is_one_job() -> None:
    schedule_often(schedule_often(read_inbox))
    schedule_daily(schedule_daily(at="20:00:00")(read_inbox))
    assert listed() == ["Every 10 seconds do read_inbox()", "Every 1 day at 20:00:00 do read_inbox()"]


def test_a_function_may_run_at_several_times() -> None:
    schedule_daily(at="08:00")(schedule_daily(at="20:00")(read_inbox))
    schedule_often(every=20)(schedule_often(read_inbox))
    assert len(listed()) == 4


def test_a_job_of_schedule_with_arguments_is_another_job() -> None:
    schedule.every(10).seconds.do(print, "one")
    schedule_often(print)
    schedule_often(functools.partial(print, "two"))
    assert len(listed()) == 3


def test_functions_made_by_a_function_are_as_many_jobs() -> None:
    for word in ("one", "two"):
        schedule_often(made(word))
    assert len(listed()) == 2


def test_a_module_imported_twice_has_its_jobs_once(tmp_path: Path) -> None:
    path = tmp_path / "jobs.py"
    path.write_text(MODULE)
    names = ["plain", "wrapped", "doubled", "doubled"]

    imported(path, "jobs")
    assert listed() == [f"Every 10 seconds do {name}()" for name in [*names, "<lambda>", "<lambda>"]]
    imported(path, "tasks.jobs")
    assert [text for text in listed() if "lambda" not in text] == [
        f"Every 10 seconds do {name}()" for name in names
    ]
