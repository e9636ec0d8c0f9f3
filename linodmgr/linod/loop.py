"""Runs the jobs of the default scheduler when they are due, until a signal asks to stop."""

import atexit
import logging
import os
import signal
from types import FrameType
from typing import Any, NoReturn

import schedule
from django.db import close_old_connections, reset_queries

from linodmgr.site import due, schedule_jobs
from linodmgr.site.on_schedule import HOOKED, hook
from linodmgr.site.plans import Plans
from linodmgr.site.runs import Runs
from linodmgr.site.stopping import BY_EXIT, Stop

log = logging.getLogger("linodmgr.linod")

# A clock that was set, a machine that slept, and jobs that another thread added through
# `schedule` (which tells nobody) are noticed at most so many seconds late.
LONGEST_WAIT = 60.0


class Loop(schedule.Scheduler):
    """The default scheduler's own list of jobs, with fresh database connections for each job, and a loop.

    ``hooks`` are those of `linodmgr.site.on_schedule`: an exception ends the run of that job alone. What
    is no Exception (SystemExit, KeyboardInterrupt) goes through: the process is to end.
    """

    def __init__(self, hooks: Any, scheduler: schedule.Scheduler = schedule.default_scheduler) -> None:
        super().__init__()
        self.jobs = scheduler.jobs
        self._hooks = hooks

    def run(self) -> NoReturn:
        """Run each job when it is due. Raises SystemExit once a stop was asked for and no job runs."""
        while True:
            self.run_pending()
            self._hooks.wait(self.seconds_to_wait())

    def seconds_to_wait(self) -> float:
        """Seconds until the next job is due, between 0 and LONGEST_WAIT."""
        due = self.idle_seconds
        return LONGEST_WAIT if due is None else min(max(due, 0.0), LONGEST_WAIT)

    def _run_job(self, job: schedule.Job) -> None:
        _renew_connections()
        super()._run_job(job)
        _renew_connections()


def hooks() -> Any:
    """Return the hooks of `schedule`: those of the runner that runs this site, else our own.

    Our own ones know nothing of a daemon.
    """
    found = getattr(schedule, HOOKED, None)
    if found is not None:
        return found
    stop = own_signals()
    runs = Runs(None, stop)
    return hook(
        schedule,
        stop,
        begins=_nothing,
        runs=runs,
        plans=Plans(runs, due, schedule_jobs),
        broken=_broken,
        failed=_failed,
    )


def own_signals() -> Stop:
    """Return what makes SIGTERM and a first Ctrl-C wait for the job that runs, and then end the process.

    A second Ctrl-C ends it at once. Where SIGINT is ignored (nohup), it stays so.
    """
    stop = Stop(signal.SIGTERM)
    stop.loop_begins(BY_EXIT)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupted)
    stop.own()
    atexit.register(stop.hear_no_more)
    return stop


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    """Handle a first Ctrl-C: whoever owns SIGTERM knows how to stop."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def _renew_connections() -> None:
    """Do what Django does around a request: drop what broke or is too old, and forget the queries."""
    try:
        reset_queries()
        close_old_connections()
    except Exception:  # the job, or the next one, will find out whether it matters
        log.exception("cannot renew the database connections")


def _nothing() -> None:
    """Take no notice."""


def _broken(reason: str) -> None:
    log.error("%s", reason)


def _failed(name: str, next_run: str, error: BaseException) -> None:
    log.error("%s: failed, next run %s", name, next_run, exc_info=(type(error), error, error.__traceback__))
