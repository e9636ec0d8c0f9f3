"""The list mode: prints the site's jobs as one JSON object, without running any."""

import json
import os
import sys
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional

Described = List[Dict[str, object]]


class Listing:
    """Lists instead of running the command; ``output`` is what the daemon or the CLI reads."""

    def __init__(
        self,
        output: int,
        on_django: ModuleType,
        describe_jobs: Callable[[List[Any]], Described],
        describe_tasks: Callable[[ModuleType], Described],
    ) -> None:
        self._output = output
        self._on_django = on_django
        self._describe_jobs = describe_jobs
        self._describe_tasks = describe_tasks

    def print_and_end(self, name: str, command: Any) -> None:
        """Print and end the process. Raises what the site raises, Unlisted if there is nothing to list."""
        left = json.dumps(self._gather(name, command)).encode()
        while left:
            left = left[os.write(self._output, left) :]
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)

    def _gather(self, name: str, command: Any) -> Dict[str, object]:
        mixins = sys.modules.get("lino.modlib.linod.mixins")
        if mixins is not None:
            return self._listed("lino", self._describe_tasks(mixins))
        django = self._on_django
        ours = django.is_a(command, django.OURS)
        if (ours or django.is_a(command, django.OLD_LINO)) and not django.uses_linod():
            return {"uses_linod": False, "reason": django.NO_LINOD, "kind": "schedule", "jobs": []}
        if ours:
            from django.utils.module_loading import autodiscover_modules

            autodiscover_modules("jobs")
        schedule = sys.modules.get("schedule")
        jobs = [] if schedule is None else self._describe_jobs(schedule.jobs)
        if not jobs and not ours and not django.is_a(command, django.OLD_LINO):
            raise Unlisted(f"{name!r} is not a command whose jobs linodmgr knows")
        return self._listed("schedule", jobs)

    def _listed(self, kind: str, jobs: Described) -> Dict[str, object]:
        reason = None if jobs else self._on_django.NO_JOBS
        return {"uses_linod": True, "reason": reason, "kind": kind, "jobs": jobs}


class Unlisted(Exception):
    """There is nothing to list, for a reason in words."""


def is_surprise(error: Optional[BaseException]) -> bool:
    """Whether somebody has to see where ``error`` comes from."""
    return isinstance(error, Exception) and not isinstance(error, (Unlisted, _database_errors()))


def why_nothing(error: Optional[BaseException], problem: str) -> str:
    """Return in words why manage.py ended before its jobs were listed; ``problem`` is empty if not known."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, _database_errors()):
        return "cannot read the tasks of linod in the site's database: " + said
    if isinstance(error, Exception):
        return "cannot list the jobs: " + said
    return "cannot list the jobs: " + (problem or "manage.py has ended before it had listed them")


def _database_errors() -> Any:
    """Return the base of Django's database errors; no class if it is not there."""
    utils = sys.modules.get("django.db.utils")
    return () if utils is None else utils.Error
