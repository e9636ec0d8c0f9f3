"""How a site declares its jobs. They live in the default scheduler of `schedule`, nowhere else."""

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar, overload

import schedule
from django.core.exceptions import ImproperlyConfigured

from linodmgr.site.on_django import uses_linod

Function = TypeVar("Function", bound=Callable[[], object])

LONGEST = 366 * 24 * 60 * 60  # seconds between two runs of a job
TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


@overload
def schedule_often(every: int = 10) -> Callable[[Function], Function]: ...
@overload
def schedule_often(every: Function) -> Function: ...


def schedule_often(every: Any = 10) -> Any:
    """Return a decorator that makes a function a job, run each ``every`` seconds (whole, 1 to one year).

    Counted from the end of one run to the start of the next. Also usable bare. Raises
    ImproperlyConfigured for another ``every``, also where the site does not use linod.

    >>> @schedule_often(every=30)
    ... def send_pending_mails():
    ...     print("sending")
    """
    if callable(every):
        return schedule_often()(every)

    def decorate(function: Function) -> Function:
        if type(every) is not int or not 1 <= every <= LONGEST:
            raise _cannot(function, f"every must be a whole number of seconds, 1 to {LONGEST}, got {every!r}")
        return _register(function, schedule.every(every).seconds)

    return decorate


@overload
def schedule_daily(at: str = "20:00") -> Callable[[Function], Function]: ...
@overload
def schedule_daily(at: Function) -> Function: ...


def schedule_daily(at: Any = "20:00") -> Any:
    """Return a decorator that makes a function a job, run each day ``at`` this local time of the site.

    ``at`` is "HH:MM" or "HH:MM:SS". Also usable bare. Raises ImproperlyConfigured for
    another ``at``, also where the site does not use linod.

    >>> @schedule_daily(at="25:00")
    ... def check_data():
    ...     print("checking")
    Traceback (most recent call last):
    ...
    django.core.exceptions.ImproperlyConfigured: cannot schedule linodmgr.linod.jobs.check_data: \
at must be a time of day like "20:00" or "20:00:30", got '25:00'
    """
    if callable(at):
        return schedule_daily()(at)

    def decorate(function: Function) -> Function:
        if not isinstance(at, str) or not TIME_OF_DAY.fullmatch(at):
            raise _cannot(function, f'at must be a time of day like "20:00" or "20:00:30", got {at!r}')
        return _register(function, schedule.every().day.at(at))

    return decorate


def _register(function: Function, timing: schedule.Job) -> Function:
    """Return ``function``, now a job in the default scheduler: once, and only where linod is used."""
    if inspect.iscoroutinefunction(function):
        raise _cannot(function, "it is a coroutine function: decorate a plain one that runs it")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise _cannot(function, f"a job is called without arguments: {error}") from error
    except ValueError:
        pass  # written in C, says nothing about its arguments
    if uses_linod() and not any(_is_same(job, function, timing) for job in schedule.get_jobs()):
        timing.do(function)
    return function


def _is_same(job: schedule.Job, function: Callable[[], object], timing: schedule.Job) -> bool:
    """Whether ``job`` runs ``function`` at the same times already."""
    call = job.job_func
    if call is None or call.args or call.keywords:
        return False
    same = all(
        getattr(job, name) == getattr(timing, name) for name in ("interval", "latest", "unit", "at_time")
    )
    return same and _is_again(call.func, function)


def _is_again(known: Any, function: Any) -> bool:
    """Whether both are one function, maybe of a module that was imported twice.

    What a function or a lambda made is told apart by identity: a loop may make many on one line.
    """
    if known == function:
        return True
    known, function = inspect.unwrap(known), inspect.unwrap(function)
    if known is function or not (inspect.isfunction(known) and inspect.isfunction(function)):
        return False
    return "<" not in known.__qualname__ and _place(known) == _place(function)


def _place(function: Any) -> tuple[str, int, str]:
    code = function.__code__
    return code.co_filename, code.co_firstlineno, function.__qualname__


def _cannot(function: Callable[[], object], reason: str) -> ImproperlyConfigured:
    name = f"{function.__module__}.{getattr(function, '__qualname__', repr(function))}"
    return ImproperlyConfigured(f"cannot schedule {name}: {reason}")
