"""What is told of Lino's tasks beside their runs, and what becomes of wishes."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import SimpleNamespace
from typing import Any

import pytest

from linodmgr.site import lino_rows, lino_runs, lino_tasks, lino_watch
from tests.unit.lino_fakes import THEN, DatabaseError, Guard, Runs, Stop, Task, in_thread

JOB = "linod.SystemTask:1"
OTHER = "linod.SystemTask:2"


class Rows:
    """Stands for the database: some rows, and what is asked of them."""

    def __init__(self) -> None:
        self.tasks = [Task(1), Task(2)]
        self.requested: set[str] | None = set()
        self.looks = 0
        self.asked: list[str] = []
        self.trouble: Exception | None = None

    def release(self) -> None:
        if self.trouble:
            raise self.trouble

    def look(self) -> lino_rows.Look:
        self.looks += 1
        if self.trouble:
            raise self.trouble
        return lino_rows.Look([lino_tasks.facts_of(task) for task in self.tasks], self.requested)

    def ask(self, job: str) -> str:
        if self.trouble:
            raise self.trouble
        if job not in (JOB, OTHER):
            return "no such task"
        self.asked.append(job)
        if self.requested is not None:
            self.requested.add(job)
        return ""


class World:
    """A task runner and what watches it."""

    def __init__(self) -> None:
        self.runs, self.stop, self.rows, self.guard = Runs(), Stop(), Rows(), Guard()
        self.plugin = SimpleNamespace(background_sleep_time=5)
        self.watch = lino_watch.Watch(
            self.runs,
            self.stop,
            self.rows,
            lino_tasks,
            lambda error: isinstance(error, DatabaseError),
            self.guard,
            in_thread,
            lambda: self.plugin,
        )

    def told(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [told for told in self.runs.told if told[0] in kinds]

    async def round(self) -> None:
        """Let the task runner begin a round, and what watches it do all that it has to do."""
        self.watch.round()
        await settle()

    async def run(self, task: Task) -> None:
        """Run one task as the task runner does."""
        run = lino_runs.Run(task, self.runs, self.stop, lino_tasks, self.guard, self.watch.begins)
        with run:
            await task.start_task(None)
        await self.watch.ended(run, task)
        await settle()

    def look_again(self) -> None:
        """Let the time for another look have come."""
        self.watch._look_at = 0.0
        self.watch._wake.set()


class Turn:
    """One round of the event loop for all others; waits for nothing."""

    def __await__(self) -> Generator[None, None, None]:
        """Let them run."""
        yield


async def settle() -> None:
    """Let everything run that can run now."""
    for _ in range(20):
        await Turn()


def play(story: Callable[[World], Awaitable[None]]) -> World:
    """Return the world after ``story``, whose task runner ends with it."""

    async def main() -> None:
        await world.watch.begin()
        await settle()
        await story(world)
        world.watch.end()

    world = World()
    asyncio.run(main())
    return world


def test_jobs_are_told_once_the_loop_goes_round() -> None:
    async def story(world: World) -> None:
        assert world.runs.told == []
        await world.round()
        await world.round()

    world = play(story)

    assert world.told("jobs") == [("jobs", JOB, OTHER)]
    assert world.told("tick") == [("tick",)] * 2
    assert world.guard.caught == []


def test_jobs_are_told_again_when_a_row_says_something_else() -> None:
    async def story(world: World) -> None:
        await world.round()
        world.look_again()
        await settle()
        world.rows.tasks[1].disabled = True
        world.look_again()
        await settle()

    assert len(play(story).told("jobs")) == 2


def test_a_run_that_disables_its_task_tells_the_jobs_at_once() -> None:
    async def story(world: World) -> None:
        def fails() -> None:
            raise ValueError("x")

        await world.round()
        await world.run(world.rows.tasks[0])
        world.rows.tasks[0].does = fails
        await world.run(world.rows.tasks[0])

    world = play(story)

    assert [told[0] for told in world.told("jobs", "ended")] == ["jobs", "ended", "ended", "jobs"]
    assert world.told("ended")[0][4] == pytest.approx(THEN.timestamp() + 11, abs=0.001)
    assert world.rows.looks == 1


def test_a_next_run_that_was_moved_is_told() -> None:
    async def story(world: World) -> None:
        for task in world.rows.tasks:
            task.last_start_time = task.last_end_time = THEN
        await world.round()
        world.rows.tasks[1].last_end_time = THEN.replace(minute=30)
        world.look_again()
        await settle()

    world = play(story)

    ((_, moved),) = world.told("moved")
    assert moved == {OTHER: pytest.approx(THEN.timestamp() + 1810, abs=0.001)}
    assert len(world.told("jobs")) == 1


def test_a_site_without_rows_is_looked_at_once() -> None:
    async def story(world: World) -> None:
        world.rows.tasks = []
        await world.round()
        await world.round()

    world = play(story)

    assert world.told("jobs") == [("jobs",)]
    assert world.rows.looks == 1


def test_a_wish_is_told_with_the_run_that_fulfils_it() -> None:
    async def story(world: World) -> None:
        world.runs.wishes = [(JOB, "one"), (JOB, "two"), ("nobody", "three")]
        await world.round()
        assert world.rows.asked == [JOB]
        await world.run(world.rows.tasks[0])
        assert world.rows.asked == [JOB, JOB]
        await world.run(world.rows.tasks[0])

    world = play(story)

    assert [told[2] for told in world.told("begun")] == ["one", "two"]
    assert world.told("declined") == [("declined", "three", "no such task")]


def test_a_wish_outlasts_a_locked_database() -> None:
    async def story(world: World) -> None:
        world.rows.trouble = DatabaseError("database is locked")
        world.runs.wishes = [(JOB, "one")]
        await world.round()
        await world.round()
        assert (world.rows.asked, world.told("jobs", "declined")) == ([], [])
        world.rows.trouble = None
        await world.round()

    world = play(story)

    assert world.rows.asked == [JOB]
    assert len(world.told("jobs")) == 1
    assert world.guard.caught == []


@pytest.mark.parametrize("requested", [set(), None])
def test_a_wish_that_somebody_takes_back_is_declined(requested: set[str] | None) -> None:
    async def story(world: World) -> None:
        world.rows.requested = requested
        world.runs.wishes = [(JOB, "one")]
        await world.round()
        if world.rows.requested is None:
            del world.rows.tasks[0]  # an old Lino, which cannot take a request back
        else:
            world.rows.requested.clear()
        world.look_again()
        await settle()

    assert play(story).told("declined") == [("declined", "one", "the request was taken back in Lino")]


def test_what_goes_wrong_with_the_rows_is_told_and_disturbs_no_run() -> None:
    async def story(world: World) -> None:
        world.rows.trouble = AttributeError("no such field")
        await world.round()
        await world.run(world.rows.tasks[0])

    world = play(story)

    assert [told[0] for told in world.told("begun", "ended", "jobs")] == ["begun", "ended"]
    assert set(world.guard.caught) == {"cannot look at Lino's tasks: no such field"}


def test_the_task_runner_goes_round_as_often_as_the_daemon_counts_on_it() -> None:
    async def story(world: World) -> None:
        await world.round()
        assert world.plugin.background_sleep_time == 5
        world.runs.longest_wait = 2.0
        await world.round()

    assert play(story).plugin.background_sleep_time == 2.0


def ends(error: Exception | None, stopping: bool = False) -> World:
    """Return the world after a task runner has ended and its process has not."""

    async def main() -> None:
        await world.watch.begin()
        world.stop.requested = stopping
        world.watch.end(error, silent=True)
        await settle()

    world, grace = World(), lino_watch.GRACE
    lino_watch.GRACE = 0.0
    try:
        asyncio.run(main())
    finally:
        lino_watch.GRACE = grace
    return world


def test_a_task_runner_that_ends_in_a_living_process_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    raised = ends(DatabaseError("gone away"))

    (told,) = raised.told("stalled")
    assert told[1].startswith("Lino's task runner has ended: ")
    assert told[1].endswith("DatabaseError: gone away")
    assert "DatabaseError: gone away" in capsys.readouterr().err
    assert ends(None).told("stalled") == [("stalled", "Lino's task runner has ended: it returned")]


def test_a_task_runner_that_ends_with_its_process_is_not_told() -> None:
    assert ends(DatabaseError("gone away"), stopping=True).told("stalled") == []
