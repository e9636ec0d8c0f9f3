"""Signals are for the main thread: others are born deaf, so that the main thread alone can let them wait."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Let signals wait. Threads and processes that are started meanwhile stay so."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def in_thread(function: Callable[..., T], *arguments: object, has_children: bool = False) -> T:
    """Return what ``function`` returns, called in a thread that hears no signals.

    ``has_children``: it starts processes, which would not hear them either; so it does meanwhile.
    """
    call = partial(_hearing, function, *arguments) if has_children else partial(function, *arguments)
    with deaf():  # a new thread begins within the call
        answer = asyncio.get_running_loop().run_in_executor(None, call)
    return await answer


def _hearing(function: Callable[..., T], *arguments: object) -> T:
    before = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        return function(*arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
