"""Where people come in: takes in whoever connects to a listening socket, unless it is shut for a while."""

import asyncio
import logging
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)

AGAIN = 1.0  # seconds, when there is no descriptor left
CROWD = 100  # who is taken in before something else has its turn


class Door:
    """Gives each connection a protocol that ``connect`` makes."""

    def __init__(self, listening: socket.socket, connect: Callable[[], asyncio.Protocol]) -> None:
        self.listening = listening
        self._connect = connect
        self._arriving: set[asyncio.Task[object]] = set()
        self._later: asyncio.TimerHandle | None = None  # when there was no descriptor left
        self.open()

    def open(self) -> None:
        """Take in who comes."""
        if self.listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self.listening, self._accept)

    async def shut(self) -> None:
        """Let those wait who come from now on; return once those before have a protocol."""
        self._refuse()
        if self._arriving:
            await asyncio.wait(self._arriving)

    def close(self) -> None:
        """Take in nobody any more."""
        self._refuse()
        self.listening.close()

    def _refuse(self) -> None:
        asyncio.get_running_loop().remove_reader(self.listening)
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            for _ in range(CROWD):
                connection, _ = self.listening.accept()
                connection.setblocking(False)
                task = loop.create_task(loop.connect_accepted_socket(self._connect, connection))
                self._arriving.add(task)
                task.add_done_callback(self._arriving.discard)
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("cannot accept a client, trying again in %g s: %s", AGAIN, error)
            self._refuse()
            self._later = loop.call_later(AGAIN, self.open)
