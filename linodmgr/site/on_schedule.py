"""Hooks for jobs of the `schedule` package (0.6 to 1.2): reports, isolation, due times, runs asked for."""

import contextlib
import functools
import os
import sys
import threading
import traceback
from types import ModuleType
from typing import Any, Callable, Optional

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
HOOKED = "_linodmgr_hooks"  # attribute of the module `schedule` once it is hooked

Failed = Callable[[str, str, BaseException], None]


def hook(
    schedule: ModuleType,
    stop: Any,
    begins: Callable[[], None],
    runs: Any,
    plans: Any,
    broken: Callable[[str], None],
    failed: Failed,
) -> "Hooks":
    """Watch all jobs of ``schedule``; ``begins`` is called whenever the loop goes round.

    ``plans`` is a Plans of plans.py; ``broken`` is told, once, why these hooks are of no more use;
    ``failed`` the name of a job that failed, when it comes again, in words, and the error.
    Raises AttributeError if it does not fit.
    """
    hooks = Hooks(schedule, stop, begins, runs, plans, broken, failed)
    scheduler, job = schedule.Scheduler, schedule.Job
    run_pending, run, plan = scheduler.run_pending, job.run, job._schedule_next_run
    should_run, idle_seconds = job.should_run.fget, scheduler.idle_seconds.fget
    scheduler._run_job  # noqa: B018 - it must be there

    @functools.wraps(run_pending)
    def watched_run_pending(self: Any, *args: Any, **kwargs: Any) -> Any:
        hooks.goes_round(self)
        return run_pending(self, *args, **kwargs)

    @functools.wraps(run)
    def watched_run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return hooks.run(self, functools.partial(run, self, *args, **kwargs))

    @functools.wraps(plan)
    def watched_plan(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = self.next_run
        planned = plan(self, *args, **kwargs)
        hooks.planned(self, before)
        return planned

    @functools.wraps(should_run)
    def watched_should_run(self: Any) -> Any:
        return hooks.should_run(self, should_run)

    @functools.wraps(idle_seconds)
    def watched_idle_seconds(self: Any) -> Any:
        return hooks.idle_seconds(self, idle_seconds)

    scheduler.run_pending, job.run, job._schedule_next_run = watched_run_pending, watched_run, watched_plan
    job.should_run, scheduler.idle_seconds = property(watched_should_run), property(watched_idle_seconds)
    setattr(schedule, HOOKED, hooks)
    return hooks


def show_failure(name: str, next_run: str, error: BaseException) -> None:
    """Write into the site's log what has failed and when it comes again."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    with contextlib.suppress(Exception):  # a job may have closed it
        sys.stderr.write(f"{name}: failed, next run {next_run}\n" + "".join(lines))
        sys.stderr.flush()


class Hooks:
    """What happens at each round of a loop and at each run of a job.

    If something goes wrong here, `schedule` goes on as without us.
    """

    def __init__(
        self,
        schedule: Any,
        stop: Any,
        begins: Callable[[], None],
        runs: Any,
        plans: Any,
        broken: Callable[[str], None],
        failed: Failed,
    ) -> None:
        self._schedule = schedule
        self._stop = stop
        self._begins = begins
        self._runs = runs
        self._plans = plans
        self._tell_broken = broken
        self._failed = failed
        self._is_broken = False
        self._loop: Any = None  # the scheduler that goes round
        self._thread = 0  # in which it does
        self._under_way = 0  # runs in that thread, one within the other
        self._fulfils = False  # a wish, in that thread

    def goes_round(self, scheduler: Any) -> None:
        """Know that the loop of ``scheduler`` goes round. Raises what a job raises that was asked for."""
        if not self._stop.is_ours():
            return
        self._begins()
        self._stop.round()
        self._loop, self._thread = scheduler, threading.get_ident()
        self._runs.tick()
        self._safely(None, self._plans.look, scheduler)
        self._fulfil()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until somebody wants a job run."""
        self._runs.wait(seconds)

    def run(self, job: Any, original: Callable[[], Any]) -> Any:
        """Run ``job``, unless a stop was asked for. Raises what it raises, if that shall end the loop."""
        if self._stop.is_ours():
            self._begins()  # somebody's own loop may not call run_pending
            if job.scheduler is not None and job.scheduler is not self._loop:
                if self._loop is None:
                    self._loop, self._thread = job.scheduler, threading.get_ident()
                self._safely(None, self._plans.look, job.scheduler)
        with self._stop.job() as may_run:
            if not may_run:
                return None
            if not self._stop.is_ours():
                return original()
            if self._thread != threading.get_ident():
                return self._watched(job, original)
            self._under_way += 1
            try:
                returned = self._watched(job, original)
            finally:
                self._under_way -= 1
        self._runs.tick()
        self._fulfil()
        return returned

    def planned(self, job: Any, before: Any) -> None:
        """Know that `schedule` has planned the next run of ``job``, which was ``before``."""
        if self._stop.is_ours():
            self._safely(None, self._plans.planned, job, before)

    def should_run(self, job: Any, original: Callable[[Any], Any]) -> Any:
        """Whether ``job`` is due."""
        due = None if job.next_run is None else self._safely(None, self._plans.is_due, job)
        return original(job) if due is None else due

    def idle_seconds(self, scheduler: Any, original: Callable[[Any], Any]) -> Any:
        """Seconds until a job of ``scheduler`` is due, or until the daemon counts on a word of the loop."""
        idle = self._safely(None, self._plans.idle_seconds, scheduler.jobs)
        if self._is_broken:
            return original(scheduler)
        return None if idle is None else min(idle, self._runs.longest_wait)

    def _watched(self, job: Any, original: Callable[[], Any]) -> Any:
        """Run ``job`` and tell about it; an error is kept to itself if jobs are isolated."""
        if self._is_over(job, self._plans.local_now()):
            return original()  # which does not run it, but cancels it
        run = self._safely(0, self._plans.begin, job)
        try:
            returned = original()
        except Exception as error:
            if not self._stop.is_ours():
                raise
            shown = error.with_traceback(self._of_site(error))
            if not self._runs.isolate:
                self._end(job, run, "failed", shown, None)
                raise
            with contextlib.suppress(Exception):  # Job.run does this only after its function has returned
                job.last_run = self._plans.local_now()
                job._schedule_next_run()
            self._failed(
                self._name(job),
                "unknown" if job.next_run is None else f"{job.next_run:%Y-%m-%d %H:%M:%S}",
                shown,
            )
            returned = self._schedule.CancelJob if self._is_over(job, job.next_run) else None
            self._end(job, run, "failed", shown, returned)
            return returned
        except BaseException as error:
            self._end(job, run, "failed", error, None)
            raise
        self._end(job, run, "ok", None, returned)
        return returned

    def _end(self, job: Any, run: int, outcome: str, error: Optional[BaseException], returned: Any) -> None:
        cancel = self._schedule.CancelJob
        goes_on = returned is not cancel and not isinstance(returned, cancel)
        self._safely(None, self._plans.end, job, run, outcome, error, goes_on)

    def _fulfil(self) -> None:
        """Run what somebody wants run now, in the loop's own thread, one after the other."""
        if self._under_way or self._fulfils:
            return
        self._fulfils = True
        try:
            while not self._stop.requested:
                wishes = self._runs.take_wishes()
                if not wishes:
                    return
                for known, asked in wishes:
                    self._run_now(known, asked)
        finally:
            self._fulfils = False

    def _run_now(self, known: str, asked: str) -> None:
        job = None if self._is_broken else self._plans.find(known)
        owners = [one for one in (self._loop, getattr(job, "scheduler", None)) if one is not None]
        owner = next((one for one in owners if any(each is job for each in one.jobs)), None)
        if owner is None or self._is_over(job, self._plans.local_now()):
            self._runs.decline(asked, f"this site has no job {known!r} now")
            return
        timing = self._plans.of(job)
        timing.asked = asked
        try:
            owner._run_job(job)
        finally:
            timing.asked = None

    def _name(self, job: Any) -> str:
        try:
            return str(self._plans.name(job))
        except Exception:  # noqa: BLE001 - whatever a site makes a job of
            return "a job"

    def _is_over(self, job: Any, when: Any) -> bool:
        """Whether ``job`` was to run only until a moment that lies before ``when``."""
        is_overdue = getattr(job, "_is_overdue", None)  # since schedule 1.0
        return bool(is_overdue is not None and is_overdue(when))

    def _of_site(self, error: BaseException) -> Any:
        """Return the error's traceback from the site's own code on, all of it if there is none."""
        ours = (HERE, str(getattr(self._schedule, "__file__", None) or HERE))
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(ours):
            trace = trace.tb_next
        return trace or error.__traceback__

    def _safely(self, otherwise: Any, function: Callable[..., Any], *args: Any) -> Any:
        """Return what ``function`` returns; if it raises, these hooks are broken and it is ``otherwise``."""
        if self._is_broken:
            return otherwise
        try:
            return function(*args)
        except Exception as error:  # noqa: BLE001 - whatever it is, the site must run
            self._is_broken = True
            self._tell_broken(f"cannot watch the jobs: {type(error).__name__}: {error}")
            return otherwise
