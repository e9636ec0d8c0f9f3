"""Owns the stop signal: the job that runs may end, no other begins, then the site's own handler is called."""

import atexit
import contextlib
import functools
import os
import signal
import sys
import threading
import traceback
from _thread import allocate_lock, start_new_thread
from types import FrameType, TracebackType
from typing import Any, Callable, Dict, NoReturn, Optional, Set, Type

BY_FLAG = "a flag"  # a loop that somebody's handler of the stop signal may end by setting a flag
BY_EXIT = "an exception"  # a loop that looks at no flag
BETWEEN_CALLS = 0.1  # seconds


class Stop:
    """The stop signal of this process, and the jobs that it has to wait for."""

    def __init__(self, number: int) -> None:
        self.requested = False
        self._number = number
        self._pid = os.getpid()
        self._signal: Callable[..., Any] = signal.signal
        self._getsignal: Callable[..., Any] = signal.getsignal
        self._recorded: Any = signal.getsignal(number)  # what the site wants to be called
        self._jobs: Dict[object, None] = {}  # those that run, in whatever thread
        self._loop = ""  # how the site's loop can be ended; empty: none has begun
        self._handled = False
        self._calls_main = False
        self._goes_on = False  # the main thread has heard the signal, and no job runs
        self._until_it_goes_on = allocate_lock()
        self._until_it_goes_on.acquire()
        self._rounds_left = 0
        self._over = False
        self._masks: Dict[int, Set[int]] = {}  # of signals, per thread that forks just now

    def own(self) -> None:
        """Put our handler in place. A handler that is set from now on is kept and called after the drain."""
        self._signal(self._number, self._stop)
        signal.signal = self._record_signal()
        signal.getsignal = self._tell_recorded()
        if hasattr(os, "register_at_fork"):  # since Python 3.7
            # Python forgets a signal that reaches a child before it is ready; so it has to wait.
            os.register_at_fork(
                before=self._hold, after_in_parent=self._release, after_in_child=self._give_back
            )

    def loop_begins(self, ends_by: str) -> None:
        """Know that the loop which runs the jobs has begun."""
        self._loop = ends_by

    def job(self) -> "Job":
        """Return a context for the run of one job; it yields whether the job may run."""
        return Job(self)

    def home(self) -> "Home":
        """Return a context that no forked child leaves alive."""
        return Home(self)

    def begin(self, job: object) -> bool:
        """Whether ``job`` may run. If so, it must be told when it has ended."""
        self._jobs[job] = None
        if self.requested and self.is_ours():
            self.end(job)
            return False
        return True

    def end(self, job: object) -> None:
        """Know that ``job`` has ended; the last one that a stop waited for lets it go on."""
        self._jobs.pop(job, None)
        if not self.requested or self._jobs or not self.is_ours():
            return
        if threading.current_thread() is threading.main_thread():
            self._finish(None)
        elif not self._goes_on:
            self._call_main()

    def round(self) -> None:
        """Know that the loop goes round; one that goes on after a stop is ended, in the main thread."""
        if not self.requested or self._jobs or not self.is_ours():
            return
        if threading.current_thread() is not threading.main_thread():
            return
        if self._rounds_left > 0:
            self._rounds_left -= 1
        else:
            raise SystemExit(0)

    def is_ours(self) -> bool:
        """Whether this is the runner's own process, not one that a job forked."""
        return os.getpid() == self._pid

    def hear_no_more(self) -> None:
        """Be asked only once: timeout(1) asks twice, and Python drops its handlers before it ends."""
        if self.requested and self.is_ours():
            self._signal(self._number, signal.SIG_IGN)

    def leaves_at_once(self) -> bool:
        """Whether the end of manage.py is the end of a stop that should go no further way: see `leave`."""
        self._over = True
        return bool(self.requested and self._loop and self.is_ours())

    def leave(self, status: int) -> NoReturn:
        """End the process without waiting for threads that know of no end, and without tearing down modules.

        The latter takes a Lino site seconds.
        """
        with contextlib.suppress(Exception, SystemExit):
            atexit._run_exitfuncs()
        flush()
        os._exit(status)

    def _stop(self, _number: int, frame: Optional[FrameType]) -> None:
        """Handle the stop signal."""
        if not self.is_ours():
            self._act_as_recorded(frame)
            return
        self.requested = True
        if self._jobs:
            return
        if not self._goes_on:
            self._goes_on = True
            self._until_it_goes_on.release()
        if not self._over:
            self._finish(frame)
            return
        # Only other threads are left; SystemExit would be lost in the interpreter's own waiting for them.
        with contextlib.suppress(SystemExit):
            self._finish(frame)
        self.leave(0)

    def _call_main(self) -> None:
        """Let the main thread go on with the stop.

        Once is not enough: a signal that comes just before it begins to wait is heard after that only.
        """
        signal.pthread_kill(threading.main_thread().ident or 0, self._number)
        if not self._calls_main:
            self._calls_main = True
            with contextlib.suppress(RuntimeError):  # there can be no more threads
                start_new_thread(self._call_main_on, ())

    def _call_main_on(self) -> None:
        while not self._until_it_goes_on.acquire(timeout=BETWEEN_CALLS):
            signal.pthread_kill(threading.main_thread().ident or 0, self._number)

    def _finish(self, frame: Optional[FrameType]) -> None:
        """Let the site end in its own way, else end it. No job runs; this is the main thread."""
        if not self._loop:
            self._act_as_recorded(frame)
            return
        if self._handled:
            return
        self._handled = True
        if callable(self._recorded) and self._recorded is not signal.default_int_handler:
            self._recorded(self._number, frame)
            if self._loop == BY_FLAG or _is_asyncio(self._recorded):
                self._rounds_left = 1
                return
        raise SystemExit(0)

    def _act_as_recorded(self, frame: Optional[FrameType]) -> None:
        if callable(self._recorded):
            self._recorded(self._number, frame)
        elif self._recorded != signal.SIG_IGN:
            self._signal(self._number, signal.SIG_DFL)
            os.kill(os.getpid(), self._number)

    def _record_signal(self) -> Callable[..., Any]:
        original = self._signal

        @functools.wraps(original)
        def record(signalnum: int, handler: Any) -> Any:
            if signalnum != self._number or not self.is_ours():
                return original(signalnum, handler)
            if not callable(handler) and handler not in (signal.SIG_DFL, signal.SIG_IGN):
                return original(signalnum, handler)  # raises what it always raises
            original(signalnum, self._stop)  # raises in a thread that may not set handlers
            before = self._recorded
            self._recorded = handler if callable(handler) else signal.Handlers(handler)
            return before

        return record

    def _tell_recorded(self) -> Callable[..., Any]:
        original = self._getsignal

        @functools.wraps(original)
        def tell(signalnum: int) -> Any:
            found = original(signalnum)
            return self._recorded if found == self._stop else found

        return tell

    def _hold(self) -> None:
        self._masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, [self._number])

    def _release(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._masks.pop(threading.get_ident(), ()))

    def _give_back(self) -> None:
        """In a forked child, let the signal do what the site thinks that it does."""
        with contextlib.suppress(Exception):
            if self._getsignal(self._number) == self._stop:
                self._signal(self._number, self._recorded)
        self._release()


class Home:
    """What a forked child that comes out of it does not survive: it would go on as a second loop."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        """End a child with the status that its own end would have had."""
        if self._stop.is_ours():
            return
        status = 0 if error is None else 1
        if isinstance(error, SystemExit) and not isinstance(error.code, str):
            status = error.code or 0
        elif error is not None:
            traceback.print_exception(kind, error, trace)
        flush()
        os._exit(status)


class Job:
    """The run of one job."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._home = Home(stop)
        self._runs = False

    def __enter__(self) -> bool:
        """Whether the job may run."""
        self._runs = self._stop.begin(self)
        return self._runs

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        """Let a stop that waited go on."""
        if not self._runs:
            return
        self._home.__exit__(kind, error, trace)
        if isinstance(error, Exception) and self._stop.requested:
            # A stop ends the loop here, before anybody could tell what went wrong.
            traceback.print_exception(kind, error, trace)
        self._stop.end(self)


def flush() -> None:
    """Write out what the site has printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _is_asyncio(handler: Any) -> bool:
    """Whether it stands for loop.add_signal_handler: the loop learns of the signal in its own way."""
    return getattr(handler, "__module__", "") == "asyncio.unix_events"
