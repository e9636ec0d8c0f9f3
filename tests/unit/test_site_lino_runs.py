"""What is told of one run of a task of Lino."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from linodmgr.site import lino_runs, lino_tasks
from tests.unit.lino_fakes import Guard, Runs, Stop, Task

MARK = "2030-06-01T12:00:00.000005+00:00"


def raising(error: BaseException) -> Callable[[], None]:
    def does() -> None:
        raise error

    return does


def run_of(task: Any, runs: Runs, guard: Guard) -> None:
    """Let Lino run ``task`` under our eyes."""
    run = lino_runs.Run(task, runs, Stop(), lino_tasks, guard, lambda _job: "token")
    with run:
        asyncio.run(task.start_task(None))
    run.ended(next_run=3.0)


def test_a_run_is_told_before_its_row_says_that_it_runs() -> None:
    runs, guard = Runs(), Guard()
    task = Task()
    save, seen = task.save, []

    def watched_save() -> None:
        seen.append(len(runs.told))
        save()

    task.save = watched_save  # type: ignore[method-assign]

    run_of(task, runs, guard)

    assert runs.told == [("begun", "linod.SystemTask:1", "token", MARK), ("ended", 7, "ok", None, 3.0)]
    assert seen == [1, 1]
    assert task.saved == ["running", "over"]
    assert guard.caught == []


def test_a_run_leaves_nothing_on_its_row() -> None:
    task = Task()

    run_of(task, Runs(), Guard())

    assert {"save", "run_task"}.isdisjoint(vars(task))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ValueError("x"), "failed"), (Warning("x"), "warned"), (UserWarning("x"), "warned")],
)
def test_an_exception_tells_how_a_run_ended(error: Exception, outcome: str) -> None:
    runs = Runs()

    run_of(Task(does=raising(error)), runs, Guard())

    assert runs.told[-1] == ("ended", 7, outcome, error, 3.0)


def test_a_warning_for_which_lino_disables_the_task_is_a_failure() -> None:
    runs, error = Runs(), Warning("x")
    task = Task()

    def does() -> None:
        task.disabled = True
        raise error

    task.does = does
    run_of(task, runs, Guard())

    assert runs.told[-1] == ("ended", 7, "failed", error, 3.0)


def test_what_lino_itself_raises_ends_the_run_as_failed() -> None:
    runs, guard, error = Runs(), Guard(), OSError("no disk")
    task = Task()
    run = lino_runs.Run(task, runs, Stop(), lino_tasks, guard, lambda _job: "")
    with run:
        asyncio.run(task.start_task(None))

    run.ended(error)
    run.ended()

    assert runs.told[1:] == [("ended", 7, "failed", error, None)]


def test_a_row_that_cannot_be_named_runs_all_the_same() -> None:
    runs, guard, ran = Runs(), Guard(), []
    task = Task(does=lambda: ran.append(True))
    task._meta = None  # type: ignore[assignment]

    run_of(task, runs, guard)

    assert ran == [True]
    assert runs.told == []
    assert guard.caught[0].startswith("cannot report the runs of Lino's tasks: ")
