"""Shows how far a few long steps are: bars on a terminal, a line each elsewhere."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DETAIL = 40  # characters of the last line of output that are shown


@dataclass(frozen=True, slots=True)
class Step:
    """One command; done when ``stamp`` holds it."""

    title: str
    command: tuple[str, ...]
    lines: int  # of output, about
    stamp: Path

    def is_done(self) -> bool:
        """Whether an earlier run has done it."""
        try:
            return self.stamp.read_text() == " ".join(self.command)
        except OSError:
            return False


@contextmanager
def display(steps: Sequence[Step]) -> "Iterator[Display]":
    """Yield what shows how far ``steps`` are, carried out one after the other."""
    if not steps or not sys.stdout.isatty():
        yield Display(None, {})
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    detail = TextColumn("{task.fields[detail]}", style="dim", markup=False)
    columns = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn(), detail)
    with Progress(*columns) as bars:
        tasks = {step: bars.add_task(step.title, False, total=step.lines, detail="") for step in steps}
        yield Display(bars, tasks)


class Display:
    """How far some steps are; what it shows stays when it is over."""

    def __init__(self, bars: "Progress | None", tasks: "Mapping[Step, TaskID]") -> None:
        self._bars = bars
        self._tasks = tasks

    def begin(self, step: Step) -> None:
        """Show that ``step`` has begun."""
        if self._bars is None:
            click.echo(f"  {step.title}")
        else:
            self._bars.start_task(self._tasks[step])

    def tell(self, step: Step, line: str) -> None:
        """Show that ``step`` goes on, and the ``line`` that it has printed."""
        if self._bars is not None:
            # The number of lines is a guess: a bar must not look full before the step is done.
            task = self._bars.tasks[self._tasks[step]]
            done = task.completed + 1
            total = max(step.lines, done + 1)
            self._bars.update(task.id, completed=done, total=total, detail=line.strip()[:DETAIL])

    def done(self, step: Step) -> None:
        """Show that ``step`` is done."""
        if self._bars is not None:
            task = self._bars.tasks[self._tasks[step]]
            self._bars.update(task.id, completed=task.total, detail="")
            self._bars.stop_task(task.id)
