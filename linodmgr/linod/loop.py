"""Runs the jobs of the default scheduler when they are due, until a signal asks to stop."""

import logging
import os
import signal
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import FrameType
from typing import NoReturn

import schedule
from django.db import close_old_connections, reset_queries

from linodmgr.site.on_schedule import name
from linodmgr.site.stopping import BY_EXIT, Stop

log = logging.getLogger("linodmgr.linod")

# A clock that was set, a machine that slept, and jobs that another thread added through
# `schedule` (which tells nobody) are noticed at most so many seconds late.
LONGEST_WAIT = 60.0


class Loop(schedule.Scheduler):
    """The default scheduler's own list of jobs, with a run of a job that stops no other, and a loop.

    A job that raises is logged and moved to its next regular time. What is no Exception
    (SystemExit, KeyboardInterrupt) goes through: the process is to end.
    """

    def __init__(self, stop: Stop, scheduler: schedule.Scheduler = schedule.default_scheduler) -> None:
        super().__init__()
        self.jobs = scheduler.jobs
        self._stop = stop

    def run(self) -> NoReturn:
        """Run each job when it is due. Raises SystemExit once a stop was asked for and no job runs."""
        while True:
            self._stop.round()
            self.run_pending()
            mend(self.jobs, local_now())
            threading.Event().wait(self.seconds_to_wait())

    def seconds_to_wait(self) -> float:
        """Seconds until the next job is due, between 0 and LONGEST_WAIT."""
        due = self.idle_seconds
        return LONGEST_WAIT if due is None else min(max(due, 0.0), LONGEST_WAIT)

    def _run_job(self, job: schedule.Job) -> None:
        with self._stop.job() as may_run:
            if may_run:
                self._attempt(job)

    def _attempt(self, job: schedule.Job) -> None:
        try:
            _renew_connections()
            with self._stop.home():  # else a forked child would close the connections of its parent
                super()._run_job(job)
            _renew_connections()
        except Exception:
            # Job.run does this only after its function returned (schedule 1.2.2).
            job.last_run = local_now()
            job._schedule_next_run()
            log.exception("%s: failed, next run %s", name(job), _text(job.next_run))


def own_signals() -> Stop:
    """Return what makes SIGTERM and a first Ctrl-C wait for the job that runs, and then end the process.

    A second Ctrl-C ends it at once. Where SIGINT is ignored (nohup), it stays so.
    """
    stop = Stop(signal.SIGTERM)
    stop.loop_begins(BY_EXIT)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupted)
    stop.own()
    return stop


def mend(jobs: Iterable[schedule.Job], now: datetime) -> None:
    """Give a new next run to each job whose next run is farther from ``now`` than it can be.

    It is if the clock was set back, which for `schedule`, whose times are local, happens
    every autumn: a job of every 10 seconds would otherwise wait for an hour.
    """
    for job in jobs:
        # Every 2 days at 20:00 is counted from today's 20:00, which may be still to come.
        farthest = timedelta(**{str(job.unit): (job.latest or job.interval) + (job.at_time is not None)})
        if job.next_run is not None and job.next_run > now + farthest:
            job._schedule_next_run()
            log.warning("%s: the clock was set back, next run %s", name(job), _text(job.next_run))


def local_now() -> datetime:
    """Return now as `schedule` writes it: local time, without a time zone."""
    return datetime.now().astimezone().replace(tzinfo=None)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    """Handle a first Ctrl-C: whoever owns SIGTERM knows how to stop."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def _renew_connections() -> None:
    """Do what Django does around a request: drop what broke or is too old, and forget the queries."""
    reset_queries()
    close_old_connections()


def _text(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}" if instant else "[never]"
