"""The socket the runners talk to. Anybody may connect; only the workers are heard."""

import asyncio
import contextlib
import logging
import os
import socket
from dataclasses import dataclass, field

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
from linodmgr.protocol import encode
from linodmgr.runner_protocol import Go, Hello, Idle, Missing, Ready, Remark, Report, Unhooked, decode_report

log = logging.getLogger(__name__)

ACCEPT_AGAIN = 1.0  # seconds, when there is no descriptor left
CROWD = 100  # who is taken in before something else has its turn
CHUNK = 4096  # bytes that are heard before something else has its turn
GRACE = 1.0  # seconds between the end of a connection and that of its process
LAST_WORDS = 1024 * 1024  # bytes, more than a socket holds: a child of the dead may go on and on
REASON_LIMIT = 500  # characters of a site's own words that are shown to people


@dataclass(slots=True)
class Runner:
    """The runner of one live worker."""

    connection: socket.socket | None = None
    lines: Lines = field(default_factory=Lines)
    unhooked: bool = False  # it said so, which is logged once
    garbled: bool = False  # its words were garbage; it is not heard again
    lost: asyncio.TimerHandle | None = None  # it hung up and may be about to end


class Reports:
    """All runners that have connected, by the pid of their worker."""

    def __init__(self, loop: Loop, listening: socket.socket) -> None:
        self._loop = loop
        self._listening = listening
        self._runners: dict[int, Runner] = {}
        loop.last_words = self.end
        self._listen()

    def end(self, pid: int, _status: int) -> None:
        """Hear what the runner of a dead worker still said, then forget it.

        A short-lived one may wait to be accepted when its end is seen.
        """
        if pid not in self._runners:
            self._accept()
        runner = self._runners.get(pid)
        if runner is None:
            return
        for _ in range(LAST_WORDS // CHUNK):
            if not self._receive(pid, runner):
                break
        self._forget(pid)

    def close(self) -> None:
        """Serve nobody any more."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        for pid in list(self._runners):
            self._forget(pid)

    def _accept(self) -> None:
        """Take in those who wait."""
        try:
            for _ in range(CROWD):
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
        runner = Runner() if pid is None else self._runners.setdefault(pid, Runner())
        if pid is None or runner.connection is not None or runner.garbled:
            connection.close()
            return
        connection.setblocking(False)
        runner.connection, runner.lines = connection, Lines()
        asyncio.get_running_loop().add_reader(connection, self._receive, pid, runner)

    def _receive(self, pid: int, runner: Runner) -> bool:
        """Turn what a runner said into events of its worker; return whether there was anything."""
        name = self._loop.name_of(pid)
        if runner.connection is None or name is None:
            return False
        try:
            data = runner.connection.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # it closed without reading our go
            data = b""
        try:
            for line in runner.lines.feed(data):
                self._hear(name, runner, decode_report(line))
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            log.warning("%s: its runner is no longer heard: %s", name, error)
            runner.garbled = True
            data = b""
        if not data:
            _hang_up(runner)
            runner.lost = asyncio.get_running_loop().call_later(GRACE, self._give_up, pid)
        return bool(data)

    def _hear(self, name: str, runner: Runner, report: Report) -> None:
        if isinstance(report, Unhooked) and not runner.unhooked:
            runner.unhooked = True
            log.warning("%s: runs unhooked: %s", name, _one_line(report.reason))
        self._loop.put(name, _event(report))
        if isinstance(report, Hello) and runner.connection is not None:
            with contextlib.suppress(OSError):  # it has gone, perhaps; what it said before counts
                runner.connection.send(encode(Go()))

    def _give_up(self, pid: int) -> None:
        """Expect no READY any more from a runner that has gone while its site goes on."""
        runner, name = self._runners[pid], self._loop.name_of(pid)
        if name is not None and runner.connection is None:
            self._loop.put(name, FoundUnhooked())

    def _forget(self, pid: int) -> None:
        runner = self._runners.pop(pid)
        _hang_up(runner)
        if runner.lost is not None:
            runner.lost.cancel()


def _hang_up(runner: Runner) -> None:
    if runner.connection is not None:
        asyncio.get_running_loop().remove_reader(runner.connection)
        runner.connection.close()
        runner.connection = None


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


def _event(report: Report) -> Event:
    match report:
        case Hello():
            return Connected()
        case Ready():
            return BecameReady()
        case Unhooked():
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
