"""Hooks for the task runner of Lino 24 and later."""

import asyncio
import functools
from typing import Any, Callable, List


def hook(mixins: Any, stop: Any, begins: Callable[[], None]) -> None:
    """Tell ``begins`` when the task runner's loop has begun, and ``stop`` of each run.

    ``mixins`` is `lino.modlib.linod.mixins`. Raises AttributeError if it does not fit.
    """
    runnable = mixins.Runnable
    start_task = runnable.start_task

    @functools.wraps(start_task)
    async def watched_start_task(self: Any, *args: Any, **kwargs: Any) -> Any:
        with stop.job() as may_run:
            if may_run:
                # The function runs in another thread: a child forked there must not come back to it.
                self.run_task = _at_home(self.run_task, stop)
                try:
                    return await start_task(self, *args, **kwargs)
                finally:
                    del self.run_task
        # Lino counts on a task that was run. In another thread than the main one: until the process ends.
        stop.round()
        await asyncio.get_event_loop().create_future()

    if hasattr(mixins, "start_task_runner"):
        _watch_loop(mixins, stop, begins)
    else:
        _watch_rounds(runnable, stop, begins)
    runnable.start_task = watched_start_task


def _watch_loop(mixins: Any, stop: Any, begins: Callable[[], None]) -> None:
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
            return await start(ar, **kwargs)
        finally:
            endless.pop()

    @functools.wraps(task_classes)
    def watched_task_classes() -> Any:
        if endless and stop.is_ours():
            begins()
            stop.round()
        return task_classes()

    mixins.start_task_runner = watched_start
    procedures.task_classes = staticmethod(watched_task_classes)


def _watch_rounds(runnable: Any, stop: Any, begins: Callable[[], None]) -> None:
    """Watch the task runner of Lino 24.0 to 24.3: each round runs them all."""
    run_them_all = runnable.run_them_all.__func__

    @functools.wraps(run_them_all)
    async def watched_run_them_all(cls: Any, *args: Any, **kwargs: Any) -> Any:
        begins()
        stop.round()
        return await run_them_all(cls, *args, **kwargs)

    runnable.run_them_all = classmethod(watched_run_them_all)


def _at_home(run_task: Callable[..., Any], stop: Any) -> Callable[..., Any]:
    """Return ``run_task`` so that it comes back in the runner's own process only."""

    @functools.wraps(run_task)
    def run(*args: Any, **kwargs: Any) -> Any:
        with stop.home():
            return run_task(*args, **kwargs)

    return run
