"""Hooks for the task runner of Lino 24 and later."""

import asyncio
import functools
from types import ModuleType
from typing import Any, Callable, Dict, List, cast


def hook(
    mixins: Any,
    stop: Any,
    begins: Callable[[], None],
    runs: Any,
    guard: Callable[[str], Any],
    parts: Dict[str, ModuleType],
) -> None:
    """Tell ``begins`` when the task runner's loop has begun, ``stop`` and ``runs`` of each run.

    ``mixins`` is `lino.modlib.linod.mixins`, ``parts`` are our modules by name. Raises AttributeError or
    ImportError if it does not fit.
    """
    from asgiref.sync import sync_to_async
    from django.utils import timezone

    runnable, tasks = mixins.Runnable, parts["lino_tasks"]
    start_task = runnable.start_task
    rows = parts["lino_rows"].Rows(mixins, tasks, runs.past, timezone.now)
    watch = parts["lino_watch"].Watch(
        runs,
        stop,
        rows,
        tasks,
        parts["lino_rows"].is_of_database,
        guard,
        sync_to_async,
        lambda: mixins.dd.plugins.linod,
    )

    @functools.wraps(start_task)
    async def watched_start_task(self: Any, *args: Any, **kwargs: Any) -> Any:
        with stop.job() as may_run:
            if may_run:
                run = parts["lino_runs"].Run(self, runs, stop, tasks, guard, watch.begins)
                with run:
                    try:
                        returned = await start_task(self, *args, **kwargs)
                    except BaseException as error:
                        watch.failed(run, error)
                        raise
                await watch.ended(run, self)
                return returned
        # Lino counts on a task that was run. In another thread than the main one: until the process ends.
        stop.round()
        await asyncio.get_event_loop().create_future()

    if hasattr(mixins, "start_task_runner"):
        _watch_loop(mixins, stop, begins, watch)
    else:
        _watch_rounds(runnable, stop, begins, watch)
    runnable.start_task = watched_start_task


def _watch_loop(mixins: Any, stop: Any, begins: Callable[[], None], watch: Any) -> None:
    """Watch the task runner of Lino 24.4 and later: each round asks for the classes of tasks."""
    start, procedures = mixins.start_task_runner, mixins.Procedures
    task_classes = procedures.task_classes
    endless: List[bool] = []  # one per task runner under way that is to run for ever

    @functools.wraps(start)
    async def watched_start(ar: Any = None, max_count: Any = None, **kwargs: Any) -> Any:
        if max_count is not None:
            return await start(ar, max_count, **kwargs)
        endless.append(True)
        try:
            return await _watched(watch, functools.partial(start, ar, **kwargs))
        finally:
            endless.pop()

    @functools.wraps(task_classes)
    def watched_task_classes() -> Any:
        if endless and stop.is_ours():
            begins()
            stop.round()
            watch.round()
        return task_classes()

    mixins.start_task_runner = watched_start
    procedures.task_classes = staticmethod(watched_task_classes)


def _watch_rounds(runnable: Any, stop: Any, begins: Callable[[], None], watch: Any) -> None:
    """Watch the task runners of Lino 24.2 and 24.3, one per model: each round runs them all."""
    run_them_all = runnable.run_them_all.__func__
    start = runnable.start_task_runner.__func__

    @functools.wraps(start)
    async def watched_start(cls: Any, ar: Any, max_count: Any = None, **kwargs: Any) -> Any:
        if max_count is not None:
            return await start(cls, ar, max_count, **kwargs)
        return await _watched(watch, functools.partial(start, cls, ar, **kwargs))

    @functools.wraps(run_them_all)
    async def watched_run_them_all(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if stop.is_ours():
            begins()
            stop.round()
            watch.round()
        return await run_them_all(cls, *args, **kwargs)

    runnable.run_them_all = classmethod(watched_run_them_all)
    runnable.start_task_runner = classmethod(cast(Any, watched_start))


async def _watched(watch: Any, start: Callable[[], Any]) -> Any:
    """Run a task runner that is to run for ever, and know how it ends."""
    await watch.begin()
    error, silent = None, True
    try:
        return await start()
    except Exception as caught:
        error = caught
        raise
    except BaseException:
        silent = False  # the process ends, or somebody ends what runs in it
        raise
    finally:
        watch.end(error, silent)
        error = None
