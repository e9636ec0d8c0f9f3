"""The socket the runners talk to. Anybody may connect; only the workers are heard."""

import asyncio
import logging
import os
import socket

from linodmgr.core.states import (
    BecameReady,
    Connected,
    Event,
    FoundUnhooked,
    Lacking,
    Remarking,
    Resting,
    Said,
    Silent,
)
from linodmgr.daemon.lines import Lines, peer
from linodmgr.daemon.loop import Loop
from linodmgr.protocol import (
    REQUEST_LIMIT,
    Go,
    Hello,
    Idle,
    Missing,
    Ready,
    Remark,
    Report,
    Unhooked,
    decode_report,
    encode,
)

log = logging.getLogger(__name__)

ACCEPT_AGAIN = 1.0  # seconds, when there is no descriptor left
REASON_LIMIT = 500  # characters of a site's own words that are shown to people


class Reports:
    """All runners' connections, by the pid of their worker."""

    def __init__(self, loop: Loop, listening: socket.socket) -> None:
        self._loop = loop
        self._listening = listening
        self._connections: dict[int, socket.socket] = {}
        self._lines: dict[int, Lines] = {}
        loop.last_words = self.end
        self._listen()

    def end(self, pid: int) -> None:
        """Hear what the runner of a dead worker still said, then hang up.

        A short-lived one may wait to be accepted when its end is seen.
        """
        if pid not in self._connections:
            self._accept()
        if pid in self._connections:
            self._receive(pid)
        self._hang_up(pid)

    def close(self) -> None:
        """Serve nobody any more."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        for pid in list(self._connections):
            self._hang_up(pid)

    def _accept(self) -> None:
        """Take in everybody who waits."""
        try:
            while True:
                self._welcome(self._listening.accept()[0])
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("cannot accept a runner, trying again in %g s: %s", ACCEPT_AGAIN, error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listening)
            loop.call_later(ACCEPT_AGAIN, self._listen)

    def _listen(self) -> None:
        if self._listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _welcome(self, connection: socket.socket) -> None:
        pid = _worker(self._loop, peer(connection)[0])
        if pid is None or pid in self._connections:
            connection.close()
            return
        connection.setblocking(False)
        self._connections[pid] = connection
        self._lines[pid] = Lines()
        asyncio.get_running_loop().add_reader(connection, self._receive, pid)

    def _receive(self, pid: int) -> None:
        """Turn what a runner said into events of its worker."""
        name = self._loop.name_of(pid)
        try:
            while data := self._connections[pid].recv(REQUEST_LIMIT):
                for line in self._lines[pid].feed(data):
                    if name is not None:
                        self._hear(name, pid, decode_report(line))
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
            log.warning("%s: its runner is no longer heard: %s", name, error)
        self._hang_up(pid)

    def _hear(self, name: str, pid: int, report: Report) -> None:
        self._loop.put(name, _event(name, report))
        if isinstance(report, Hello):
            self._connections[pid].send(encode(Go()))

    def _hang_up(self, pid: int) -> None:
        connection = self._connections.pop(pid, None)
        if connection is not None:
            del self._lines[pid]
            asyncio.get_running_loop().remove_reader(connection)
            connection.close()


def _worker(loop: Loop, pid: int) -> int | None:
    """Return the pid of the worker that ``pid`` is, or whose session it is in.

    A virtualenv's python may be a script that starts the real one as its child.
    """
    if loop.name_of(pid) is not None:
        return pid
    try:
        leader = os.getsid(pid)
    except OSError:
        return None
    return leader if loop.name_of(leader) is not None else None


def _event(name: str, report: Report) -> Event:
    match report:
        case Hello():
            return Connected()
        case Ready():
            return BecameReady()
        case Unhooked(reason):
            log.warning("%s: runs unhooked: %s", name, _one_line(reason))
            return FoundUnhooked()
        case Idle(reason):
            return Said(Resting(_one_line(reason)))
        case Missing(reason):
            return Said(Lacking(_one_line(reason)))
        case Remark(text):
            return Said(Remarking(_one_line(text)) if text else Silent())


def _one_line(text: str) -> str:
    """Return a site's words made fit to be shown: printable, one line, not long."""
    return "".join(c if c.isprintable() else " " for c in text[:REASON_LIMIT]).strip()
