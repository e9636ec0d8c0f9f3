"""The rows of Lino's tasks: what is told of them, those that a dead worker left, those wanted now.

All in sync context, each query on its own: nothing here holds a transaction.
"""

import sys
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Set

RELEASED = "Released by linodmgr: the worker that ran this task has died, started at {}."
REQUESTED = "Requested through linodmgr to run at {}."

Fields = Dict[str, object]


class Look:
    """What the rows say at one moment; ``requested`` are those to be run now, None if Lino cannot tell."""

    def __init__(self, facts: List[Fields], requested: Optional[Set[str]]) -> None:
        self.facts = facts
        self.requested = requested


class Rows:
    """The rows of all models whose tasks the task runner of Lino runs.

    ``mixins`` is `lino.modlib.linod.mixins`, ``tasks`` our module lino_tasks, ``past`` what the daemon
    knows from earlier workers, ``now`` returns a datetime as Lino's database takes it.
    """

    def __init__(
        self, mixins: Any, tasks: ModuleType, past: Dict[str, Fields], now: Callable[[], Any]
    ) -> None:
        self._mixins = mixins
        self._tasks = tasks
        self._now = now
        self._marks = {job: str(known["mark"]) for job, known in past.items() if known.get("mark")}

    def look(self) -> Look:
        """Return what the rows say. Raises what the database raises."""
        requested: Optional[Set[str]] = None
        for model in self._tasks.models(self._mixins):
            if hasattr(model, "requested_at"):
                rows = model.objects.filter(requested_at__isnull=False)
                requested = (requested or set()) | {self._tasks.identity(row) for row in rows}
        return Look(self._tasks.all_facts(self._mixins), requested)

    def release(self) -> None:
        """End the runs that our dead worker had begun; those of others are left as they are.

        Lino would not touch such a row for two hours. Raises what the database raises.
        """
        if not self._marks:
            return
        for model in self._tasks.models(self._mixins):
            for row in model.objects.filter(last_start_time__isnull=False, last_end_time__isnull=True):
                job = self._tasks.identity(row)
                if self._marks.get(job) != self._tasks.mark(row):
                    continue
                released = model.objects.filter(
                    pk=row.pk, last_start_time=row.last_start_time, last_end_time__isnull=True
                ).update(last_end_time=self._now(), message=RELEASED.format(row.last_start_time))
                if released:
                    _say(f"{job} {row.name} is released: the worker that began it has died")
        self._marks.clear()

    def ask(self, job: str) -> str:
        """Have ``job`` run in the next round, as Lino's own button does; return why not, if not.

        Raises what the database raises.
        """
        for model in self._tasks.models(self._mixins):
            for row in model.objects.order_by("seqno"):
                if self._tasks.identity(row) == job:
                    return self._ask(model, row)
        return f"{job!r} is not a task of this site"

    def _ask(self, model: Any, row: Any) -> str:
        now = self._now()
        asked: Fields = {"last_start_time": None, "last_end_time": None, "message": REQUESTED.format(now)}
        if hasattr(model, "requested_at"):
            asked["requested_at"] = now
        else:
            asked["disabled"] = False  # Lino before 24.5 runs no disabled task
        idle = model.objects.filter(pk=row.pk).exclude(
            last_start_time__isnull=False, last_end_time__isnull=True
        )
        return "" if idle.update(**asked) else "it is running, its row in the site's database says"


def is_of_database(error: BaseException) -> bool:
    """Whether ``error`` may be gone the next time: a database that is locked or restarted."""
    utils = sys.modules.get("django.db.utils")
    return utils is not None and isinstance(error, utils.Error)


def _say(text: str) -> None:
    print(f"linodmgr: {text}", file=sys.stderr)
    sys.stderr.flush()
