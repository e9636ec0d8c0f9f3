"""Hears many who say a little all the time, and wakes up for all of them together, a few times a second."""

import asyncio
import select
from collections.abc import Callable

REST = 0.25  # seconds after which it listens again


class Ear:
    """Sockets that can wait. Whoever says something while it rests is heard when it has rested."""

    def __init__(self, rest: float = REST) -> None:
        self._rest = rest
        self._sockets = select.epoll()
        self._heard: dict[int, Callable[[], object]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_listening = False

    def add(self, descriptor: int, heard: Callable[[], object]) -> None:
        """Call ``heard`` when there is something to read, not at once."""
        self._sockets.register(descriptor, select.EPOLLIN)
        self._heard[descriptor] = heard
        if self._timer is None:
            self._listen()

    def remove(self, descriptor: int) -> None:
        """Listen to it no more; it must still be open."""
        if self._heard.pop(descriptor, None) is not None:
            self._sockets.unregister(descriptor)

    def close(self) -> None:
        """Listen to nobody."""
        self._stop_listening()
        if self._timer is not None:
            self._timer.cancel()
        self._sockets.close()

    def _listen(self) -> None:
        if not self._is_listening:
            asyncio.get_running_loop().add_reader(self._sockets, self._hear)
            self._is_listening = True

    def _stop_listening(self) -> None:
        if self._is_listening:
            asyncio.get_running_loop().remove_reader(self._sockets)
            self._is_listening = False

    def _hear(self) -> None:
        """Hear all who have said something, then rest; listen again if nobody has."""
        self._timer = None
        found = [self._heard[descriptor] for descriptor, _ in self._sockets.poll(0)]
        if not found:
            self._listen()
            return
        self._stop_listening()
        self._timer = asyncio.get_running_loop().call_later(self._rest, self._hear)
        for heard in found:
            heard()
