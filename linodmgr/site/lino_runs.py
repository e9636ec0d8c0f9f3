"""Reports the runs of Lino's tasks: from just before their rows say so until their rows say it is over."""

import functools
from types import ModuleType
from typing import Any, Callable, List, Optional


class Run:
    """One run of the task in ``row``.

    ``row`` is one object of Lino for the whole run. Lino saves it as running, calls its run_task, and saves
    how it went: begin is told before the first, the end after the last of these three, so that what a worker
    leaves when it dies in between is known to be ours.
    """

    def __init__(
        self,
        row: Any,
        runs: Any,
        stop: Any,
        tasks: ModuleType,
        guard: Callable[[str], Any],
        begins: Callable[[str], str],
    ) -> None:
        self._row = row
        self._runs = runs
        self._stop = stop
        self._tasks = tasks
        self._guard = guard
        self._begins = begins  # is told the job, returns the token of the wish that this run fulfils
        self._number: Optional[int] = None  # not begun yet
        self._error: Optional[BaseException] = None
        self._was_disabled = bool(getattr(row, "disabled", False))
        self._watched: List[str] = []
        self.job = ""  # its id, once it has begun

    def __enter__(self) -> None:
        """Watch the two methods of the row through which Lino goes, in another thread."""
        self._watch("run_task", self._run_task)
        if hasattr(self._row, "save"):
            self._watch("save", self._save)

    def __exit__(self, *_: object) -> None:
        """Watch no longer."""
        for name in self._watched:
            self._row.__dict__.pop(name, None)

    def ended(self, error: Optional[BaseException] = None, next_run: Optional[float] = None) -> None:
        """Tell how it ended; ``error`` is what Lino itself raised."""
        if self._number is None:
            return
        error, outcome = error or self._error, "ok"
        if error is not None:
            outcome = "warned" if self._is_warning(error) else "failed"
        self._runs.end(self._number, outcome, error, next_run)
        self._number = self._error = None

    def _watch(self, name: str, watched: Callable[..., Any]) -> None:
        original = getattr(self._row, name)
        setattr(self._row, name, functools.wraps(original)(functools.partial(watched, original)))
        self._watched.append(name)

    def _save(self, save: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._begin()
        return save(*args, **kwargs)

    def _run_task(self, run_task: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # In another thread than the loop: a child that is forked there must not come back to it.
        with self._stop.home():
            self._begin()
            try:
                return run_task(*args, **kwargs)
            except BaseException as error:
                self._error = error
                raise

    def _begin(self) -> None:
        """Tell that it begins, once, as soon as the row is about to say so."""
        if self._number is not None or self._error is not None:
            return
        with self._guard("cannot report the runs of Lino's tasks"):
            if self._tasks.is_running(self._row):
                self.job = self._tasks.identity(self._row)
                asked, mark = self._begins(self.job), self._tasks.mark(self._row)
                self._number = self._runs.begin(self.job, asked=asked, mark=mark)

    def _is_warning(self, error: BaseException) -> bool:
        """Whether Lino took it as a warning; before 24.4 it disabled the task as for any other."""
        disabled = bool(getattr(self._row, "disabled", False))
        return isinstance(error, Warning) and error is self._error and disabled <= self._was_disabled
