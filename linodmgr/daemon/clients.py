"""One who asks: a connection to the control socket, from its request to the last answer."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from linodmgr import __version__
from linodmgr.daemon.handover import HandedClient, HandedWish
from linodmgr.daemon.lines import Lines, peer
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.roster import Roster
from linodmgr.daemon.status import Status
from linodmgr.errors import LinodmgrError
from linodmgr.protocol import ANSWER_LIMIT, Answer, Done, Refused, Request, Result, decode_request, encode

log = logging.getLogger(__name__)

CLIENTS = 100  # at the same time
PATIENCE = 10.0  # seconds to say a request, or to take an answer


class Desk(Protocol):
    """Where clients come to."""

    patience: float  # seconds
    clients: "set[Client]"
    left: asyncio.Event  # somebody has gone
    loop: Loop
    roster: Roster
    status: Status

    def dispatch(self, client: "Client", request: Request) -> None:
        """Carry out one request; its answers go to ``client``."""
        ...


class Client(asyncio.Protocol):
    """One connection: a request, then its answers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lines = Lines()
        self._asked = False
        self._pending: set[str] = set()
        self._waits_for: dict[str, str] = {}  # what was told of sites that a stop waits for
        self._results: list[Result] = []
        self._words: list[str] = []
        self._who = "?"
        self.uid = -1
        self.task: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self.is_watching = False
        self.follows: Callable[[], HandedWish] | None = None  # a run, as it is by now
        self.wants = ""  # the goal of the sites that are waited for; empty: whatever they have
        self.holder: tuple[int, int] | None = None  # for this process (pid and start) sites shall be held
        self.leaving: list[Callable[[], None]] = []  # called when it has gone
        self.reads = asyncio.Event()  # it has taken what it was told
        self.reads.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet nobody; somebody who says nothing is sent away."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # whatever is not read is waited for with patience only
        connection: socket.socket = transport.get_extra_info("socket")
        pid, self.uid = peer(connection)
        self._who = f"pid {pid} of uid {self.uid}"
        self._desk.clients.add(self)
        if len(self._desk.clients) > CLIENTS:
            self.finish(Refused(f"cannot serve more than {CLIENTS} clients at once"))
        self._be_patient()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the client; what it asked for goes on."""
        self._stop_patience()
        self._desk.clients.discard(self)
        self._desk.left.set()
        self._stop_listening()
        for leave in self.leaving:
            leave()
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take the one request."""
        try:
            lines = self._lines.feed(data)
            if self._asked or not lines:
                return
            self._asked = True
            self._stop_patience()
            request = decode_request(lines[0])
        except (ValueError, RecursionError) as error:
            self.finish(Refused(f"cannot understand the request: {error}"))
            return
        log.debug("%s asks %r", self._who, request)
        try:
            self._desk.dispatch(self, request)
        except LinodmgrError as error:
            self.finish(Refused(str(error), error.exit_code))
        except OSError as error:
            self.finish(Refused(f"cannot store what is wanted: {error.strerror}"))
        except Exception:  # one connection must not end the daemon
            log.exception("cannot answer %r", request)
            self.finish(Refused("cannot answer: see the log of the daemon"))

    def pause_writing(self) -> None:
        """The client reads slowly: it has some seconds."""
        self.reads.clear()
        self._be_patient()

    def resume_writing(self) -> None:
        """It has read."""
        self.reads.set()
        self._stop_patience()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what takes time without keeping the others waiting."""
        self.task = asyncio.get_running_loop().create_task(self._guarded(work))

    def answer(self, answer: Answer) -> None:
        """Send one answer."""
        self.send(encode(answer))

    def send(self, data: bytes) -> None:
        """Send one answer that has been written already."""
        if len(data) > ANSWER_LIMIT:
            data = encode(Refused("cannot answer: it is too much"))
        if not self._transport.is_closing():
            self._transport.write(data)

    def finish(self, answer: Answer) -> None:
        """Send the last answer and hang up."""
        if isinstance(answer, Done):
            answer = replace(answer, version=__version__)
        self.answer(answer)
        self._transport.close()

    def wait_for(
        self, names: Iterable[str], results: list[Result], wait: bool, lines: Iterable[str] = ()
    ) -> None:
        """Answer Progress until each of ``names`` has come to rest, then Done."""
        self._results, self._words = results, list(lines)
        self._pending = set(names)
        self._desk.loop.listeners.add(self._changed)
        self._desk.status.book.watchers.add(self._jobs_changed)
        for name in sorted(self._pending):
            if wait:
                self._changed(name)
            else:
                self._settle(name)
        self._finish_if_done()

    def _changed(self, name: str) -> None:
        if name not in self._pending:
            return
        if name in self._desk.loop.fleet:
            if self._desk.roster.waits_for_its_turn(name):
                return
            self._tell_progress(name)
            if not self._desk.loop.is_settled(name):
                return
        self._settle(name)
        self._finish_if_done()

    def _jobs_changed(self, name: str) -> None:
        """Tell once a stop waits for other jobs than before."""
        if name in self._pending and name in self._desk.loop.fleet:
            waits_for = self._desk.status.waits_for(name)
            if self._waits_for.get(name, waits_for) != waits_for:
                self._tell_progress(name)

    def _tell_progress(self, name: str) -> None:
        progress = self._desk.status.progress(name)
        self._waits_for.pop(name, None)
        if progress.waited is not None:
            self._waits_for[name] = progress.waits_for
        self.answer(progress)

    def _settle(self, name: str) -> None:
        if name in self._pending:
            self._pending.discard(name)
            if name in self._desk.roster.config.sites:  # not if it was removed
                result = self._desk.status.result(name)
                if self._desk.roster.waits_for_its_turn(name):
                    result = replace(result, reason="restarted when its turn comes")
                elif self.wants not in ("", self._desk.loop.fleet[name].goal.value):
                    reason = result.reason or "somebody has wanted something else meanwhile"
                    result = replace(result, ok=False, reason=reason)
                self._results.append(result)

    def _finish_if_done(self) -> None:
        if not self._pending and not self._transport.is_closing():
            self._stop_listening()
            self._results.sort(key=lambda result: result.site)
            if self.holder:  # one may have been released while another was waited for
                self._refuse(self.holder)
            self.finish(Done(self._results, self._words))

    def _refuse(self, holder: tuple[int, int]) -> None:
        """Let the results say for which sites the command must not begin."""
        names = [result.site for result in self._results if result.ok]
        try:
            reasons = self._desk.roster.in_the_way(names, holder)
        except OSError as error:  # there is no descriptor left
            reasons = dict.fromkeys(names, f"cannot look for other linods: {error.strerror}")
        self._results = [
            replace(result, ok=False, reason=reasons[result.site]) if result.site in reasons else result
            for result in self._results
        ]

    @property
    def connection(self) -> int:
        """The descriptor of the connection, -1 if it is closed."""
        connection: socket.socket = self._transport.get_extra_info("socket")
        return connection.fileno()

    def hand_over(self) -> HandedClient | None:
        """Return what the next daemon has to know of it; None if what it waits for will be cut short."""
        if self._transport.is_closing() or self._transport.get_write_buffer_size():
            return None
        if not self._asked:
            return HandedClient(connection=self.connection, half=self._lines.half)
        if self.follows is not None:
            return HandedClient(connection=self.connection, asked=True, follows=self.follows())
        if not self._pending:
            return None
        results = msgspec.to_builtins(self._results)
        waits, lines = tuple(self._pending), tuple(self._words)
        return HandedClient(
            connection=self.connection,
            asked=True,
            waits=waits,
            wants=self.wants,
            holder=self.holder,
            results=results,
            lines=lines,
        )

    def take_over(self, handed: HandedClient) -> None:
        """Go on with one whom an earlier daemon listened to."""
        self._lines, self._asked = Lines(handed.half), handed.asked
        if handed.asked:
            self._stop_patience()
        self.holder, self.wants = handed.holder, handed.wants
        if handed.waits:
            self.wait_for(handed.waits, msgspec.convert(handed.results, list[Result]), True, handed.lines)

    def _stop_listening(self) -> None:
        self._desk.loop.listeners.discard(self._changed)
        self._desk.status.book.watchers.discard(self._jobs_changed)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except LinodmgrError as error:
            self.finish(Refused(str(error), error.exit_code))
        except Exception:  # one connection must not end the daemon
            log.exception("cannot answer %s", self._who)
            self.finish(Refused("cannot answer: see the log of the daemon"))

    def _be_patient(self) -> None:
        self._stop_patience()
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(self._desk.patience, self._transport.abort)

    def _stop_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
