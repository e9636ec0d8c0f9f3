"""One connection of a runner: its lines in, within what it may say; our words out, without waiting."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from linodmgr.daemon.ears import Ear
from linodmgr.daemon.handover import HandedRunner
from linodmgr.daemon.lines import Lines, taken_over

OUT_LIMIT = 8 * 1024 * 1024  # bytes that wait for a runner that does not read
# What a runner may say, in bytes: a burst, and then so much a second. What is more waits in its socket.
BURST, RATE = 4 * 1024 * 1024, 256 * 1024
PAUSE = 0.25  # seconds
RECEIVED_AT_ONCE = 4096  # bytes, before something else has its turn


@dataclass(slots=True)
class Runner:
    """The runner of one live worker."""

    worker: int  # its pid
    connection: socket.socket | None = None
    pid: int = 0  # of the process that speaks
    lines: Lines = field(default_factory=Lines)
    held: list[bytes] | None = None  # lines that wait until it is told to go
    greeted: bool = False  # on this connection
    stacks: int = 0  # the signal that makes it write its stacks
    unhooked: str = ""  # it said so, which is logged once
    garbled: bool = False  # its words were garbage; it is not heard again
    paused: bool = False  # it has said too much
    lost: asyncio.TimerHandle | None = None  # it hung up and may be about to end
    heard: Callable[[], object] = lambda: None  # called when there is something to read
    ear: Ear | None = None  # that hears it from time to time; None: it is heard at once
    can_wait: bool = False  # nothing urgent is to be expected of it
    young_until: float = 0.0  # monotonic
    _credit: float = BURST
    _credit_at: float = 0.0
    _out: bytearray = field(default_factory=bytearray)
    _resume: asyncio.TimerHandle | None = None

    def connect(self, connection: socket.socket, pid: int, heard: Callable[[], object]) -> None:
        """Listen to a new connection."""
        connection.setblocking(False)
        self.connection, self.pid, self.heard = connection, pid, heard
        self.lines, self._out = Lines(), bytearray()
        self.held, self.greeted, self.can_wait, self.ear = None, False, False, None
        asyncio.get_running_loop().add_reader(connection, heard)

    def hand_over(self) -> HandedRunner:
        """Return what the next daemon has to know to go on with this connection."""
        return HandedRunner(
            worker=self.worker,
            connection=-1 if self.connection is None else self.connection.fileno(),
            pid=self.pid,
            half=self.lines.half,
            out=bytes(self._out),
            greeted=self.greeted,
            stacks=self.stacks,
            unhooked=self.unhooked,
            garbled=self.garbled,
            young_until=self.young_until,
        )

    def take_over(self, handed: HandedRunner, heard: Callable[[], object]) -> None:
        """Go on where an earlier daemon was."""
        self.unhooked, self.garbled, self.stacks = handed.unhooked, handed.garbled, handed.stacks
        self.young_until = handed.young_until
        if handed.connection < 0:
            return
        self.connect(taken_over(handed.connection), handed.pid, heard)
        self.lines, self.greeted = Lines(handed.half), handed.greeted
        if handed.out:
            self.send(handed.out)

    def rest(self, ear: Ear) -> None:
        """Be heard by ``ear`` from now on, together with others who can wait."""
        if self.connection is not None and self.ear is None and not self.paused and self.held is None:
            asyncio.get_running_loop().remove_reader(self.connection)
            self.ear = ear
            ear.add(self.connection.fileno(), self.heard)

    def wake(self) -> None:
        """Be heard at once from now on."""
        if self.connection is not None and self.ear is not None:
            self._stop_listening()
            asyncio.get_running_loop().add_reader(self.connection, self.heard)

    def receive(self) -> bytes | None:
        """Return what is there, at most RECEIVED_AT_ONCE bytes; b"" at the end, None if there is nothing."""
        if self.connection is None:
            return None
        try:
            return self.connection.recv(RECEIVED_AT_ONCE)
        except BlockingIOError:
            return None
        except OSError:  # it closed without reading our go
            return b""

    def charge(self, size: int) -> None:
        """Do not listen for a while if it has said too much."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._credit = min(BURST, self._credit + (now - self._credit_at) * RATE) - size
        self._credit_at = now
        if self._credit < 0 and self.connection is not None and not self.paused:
            self.paused = True
            self._stop_listening()
            self._resume = loop.call_later(PAUSE, self._go_on)

    def hold(self) -> None:
        """Read no further until ``release``."""
        self._stop_listening()
        self.held = []

    def release(self) -> list[bytes]:
        """Read on; return the lines that have waited."""
        if self.held is None:
            return []
        waited, self.held = self.held, None
        if self.connection is not None and not self.paused:
            asyncio.get_running_loop().add_reader(self.connection, self.heard)
        return waited

    def send(self, line: bytes) -> None:
        """Say something; whoever never listens is hung up on."""
        if self.connection is None:
            return
        sent = 0
        if not self._out:
            try:
                sent = self.connection.send(line)
            except BlockingIOError:
                pass
            except OSError:  # it has gone, perhaps; what it said before counts
                return
            if sent == len(line):
                return
            asyncio.get_running_loop().add_writer(self.connection, self._send_more)
        self._out += line[sent:]
        if len(self._out) > OUT_LIMIT:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self.paused = False
        if self.connection is not None:
            self._stop_listening()
            asyncio.get_running_loop().remove_writer(self.connection)
            self.connection.close()
            self.connection = None

    def _stop_listening(self) -> None:
        if self.connection is None:
            return
        if self.ear is not None:
            self.ear.remove(self.connection.fileno())
            self.ear = None
        else:
            asyncio.get_running_loop().remove_reader(self.connection)

    def _go_on(self) -> None:
        self._resume, self.paused = None, False
        if self.connection is not None and self.held is None:
            asyncio.get_running_loop().add_reader(self.connection, self.heard)

    def _send_more(self) -> None:
        if self.connection is None:
            return
        try:
            with contextlib.suppress(BlockingIOError):
                del self._out[: self.connection.send(self._out)]
        except OSError:
            self._out.clear()
        if not self._out:
            asyncio.get_running_loop().remove_writer(self.connection)
