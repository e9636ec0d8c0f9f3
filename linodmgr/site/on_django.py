"""Finds out which command manage.py runs: what it means that it ends, and what the list mode lists."""

import functools
import sys
from types import ModuleType
from typing import Any, Callable, Optional, Set

OLD_LINO = "lino.management.commands.linod"  # up to 23.5
LINO = "lino.modlib.linod.management.commands."
OURS = "linodmgr.linod.management.commands.linod"
NO_LINOD = "does not use linod"
NO_JOBS = "no jobs"


class Commands:
    """The command of manage.py. ``hooked`` are the names of the modules that have our hooks."""

    def __init__(self, daemon: Any, guard: Callable[[str], Any], hooked: Set[str]) -> None:
        self._daemon = daemon
        self._guard = guard
        self._hooked = hooked
        self._command: Any = None
        self._has_ended = False
        self.problem = ""  # why manage.py is about to end
        self.instead: Optional[Callable[[str, Any], None]] = None  # called instead of running the command

    def hook(self, management: ModuleType) -> None:
        """Watch `django.core.management`. Raises AttributeError if it does not fit."""
        utility = management.ManagementUtility
        fetch_command = utility.fetch_command

        @functools.wraps(fetch_command)
        def watched_fetch_command(utility: Any, subcommand: str) -> Any:
            if self._command is not None:
                return fetch_command(utility, subcommand)
            try:
                command = fetch_command(utility, subcommand)
            except SystemExit:
                self.problem = f"manage.py knows no command {subcommand!r}"
                self._daemon.tell("remark", text=self.problem)
                raise
            self._command = command
            if self.instead is not None:
                self.instead(subcommand, command)
            with self._guard(f"cannot watch the command {subcommand!r}"):
                self._watch(subcommand, command)
            return command

        utility.fetch_command = watched_fetch_command

    def ended(self) -> None:
        """Tell what it means that the process is about to end well, with no loop having begun."""
        if not self._has_ended or not (is_a(self._command, OLD_LINO) or is_a(self._command, OURS)):
            return
        reason = reason_to_rest()
        if reason:
            self._daemon.tell("idle", reason=reason)
        elif is_a(self._command, OLD_LINO):
            self._daemon.tell(
                "remark", text="linod of this Lino lists its jobs and ends; they run in runworker"
            )

    def _watch(self, subcommand: str, command: Any) -> None:
        """Tell if its loop is none that we know, and give it the option --force if it has one."""
        if not self._is_known(command):
            self._daemon.unhooked(f"{subcommand!r} is not a command whose loop linodmgr knows")
        execute = command.execute

        @functools.wraps(execute)
        def watched_execute(*args: Any, **options: Any) -> Any:
            if "force" in options and is_a(command, LINO):
                options["force"] = True  # after a crash it refuses to start without; our lock is better
            returned = execute(*args, **options)
            self._has_ended = True  # and not by an exception, SystemExit among them
            return returned

        command.execute = watched_execute

    def _is_known(self, command: Any) -> bool:
        module = type(command).__module__  # what is derived from it may have a loop of its own
        if module == LINO + "linod":
            return "lino.modlib.linod.mixins" in self._hooked
        if module in (OURS, OLD_LINO):
            return "schedule" in self._hooked or "schedule" not in sys.modules
        return False


def is_a(command: Any, module: str) -> bool:
    """Whether the command's class or one of its bases is of ``module``; below it, if that ends in a dot."""
    names = [str(kind.__module__) for kind in type(command).__mro__]
    return any(name == module or (module.endswith(".") and name.startswith(module)) for name in names)


def uses_linod() -> bool:
    """Whether the site wants its jobs run: what Lino's SITE says, else USE_LINOD."""
    from django.conf import settings

    of_lino = getattr(getattr(settings, "SITE", None), "use_linod", None)
    return bool(getattr(settings, "USE_LINOD", False) if of_lino is None else of_lino)


def reason_to_rest() -> Optional[str]:
    """Return why a site whose jobs are in `schedule` has nothing to do, None if it has."""
    if not uses_linod():
        return NO_LINOD
    schedule = sys.modules.get("schedule")
    return None if schedule is not None and schedule.jobs else NO_JOBS
