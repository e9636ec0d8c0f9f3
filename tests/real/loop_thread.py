"""A real asyncio loop in a thread of its own, for tests of parts of the daemon; it knows who wakes it up."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, TypeVar

from typing_extensions import TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ANSWERS_WITHIN = 30.0  # seconds


class Watched(asyncio.SelectorEventLoop):
    """Remembers its timers and what went wrong in a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[asyncio.TimerHandle] = []
        self.accidents: list[str] = []
        self.set_exception_handler(lambda _loop, context: self.accidents.append(str(context)))

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: Unpack[Ts],
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Remember the timer."""
        self.timers.append(super().call_at(when, callback, *args, context=context))
        return self.timers[-1]


@contextlib.contextmanager
def loop_thread() -> Iterator["LoopThread"]:
    """Yield a running loop; what went wrong in its callbacks and was not asked for fails the test."""
    made = LoopThread()
    made.start()
    try:
        yield made
    finally:
        made.stop()
    accidents = made.accidents()
    assert not accidents, accidents


class LoopThread:
    """Everything that belongs to the loop is done in it, through `do`."""

    def __init__(self) -> None:
        self._loop = Watched()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, whatever waits there."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def do(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what ``function`` returns, called between two events of the loop."""

        async def call() -> T:
            return function(*arguments)

        return self.wait(call())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWERS_WITHIN)

    def timers(self) -> list[asyncio.TimerHandle]:
        """Return the timers that will still wake up the loop."""

        def pending() -> list[asyncio.TimerHandle]:
            now = self._loop.time()
            return [timer for timer in self._loop.timers if not timer.cancelled() and timer.when() > now]

        return self.do(pending)

    def accidents(self) -> list[str]:
        """Return what went wrong in callbacks, and forget it."""
        found, self._loop.accidents = self._loop.accidents, []
        return found

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()
