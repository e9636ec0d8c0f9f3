"""The socket people talk to. Who may connect may do everything: its mode is 0660, root:group."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from linodmgr.daemon.job_answers import JobAnswers
from linodmgr.daemon.lines import Lines, peer
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.roster import DISABLED, Roster
from linodmgr.daemon.status import Status
from linodmgr.errors import LinodmgrError, UsageError
from linodmgr.protocol import (
    ANSWER_LIMIT,
    Answer,
    Done,
    History,
    Jobs,
    ListJobs,
    Refused,
    Reload,
    Request,
    Restart,
    Result,
    RunJob,
    Start,
    Stop,
    decode_request,
    encode,
)
from linodmgr.protocol import Status as StatusRequest

log = logging.getLogger(__name__)

CLIENTS = 100  # at the same time
PATIENCE = 10.0  # seconds to say a request, or to take an answer


class Steward(Protocol):
    """What concerns the whole daemon."""

    def shut_down(self) -> None:
        """Stop everything, then end."""
        ...

    async def reload(self) -> tuple[list[str], list[str]]:
        """Read the configuration again; return lines for people and the sites on their way."""
        ...

    async def list_jobs(self, request: ListJobs) -> Answer:
        """Run the list mode of one site."""
        ...


class Control:
    """Answers requests."""

    def __init__(
        self,
        loop: Loop,
        roster: Roster,
        status: Status,
        jobs: JobAnswers,
        steward: Steward,
        patience: float = PATIENCE,
    ) -> None:
        self.patience = patience
        self.loop = loop
        self.roster = roster
        self.status = status
        self.jobs = jobs
        self.steward = steward
        self.clients: set[Client] = set()
        self.left = asyncio.Event()
        self.closing = False

    async def everybody_left(self) -> None:
        """Return once no client is connected."""
        while self.clients:
            self.left.clear()
            await self.left.wait()

    def dismiss(self) -> None:
        """Let those go who would watch for ever."""
        for client in tuple(self.clients):
            if client.is_watching:
                client.finish(Done())

    def connect(self) -> asyncio.Protocol:
        """Return the protocol of one more connection."""
        return Client(self)

    def dispatch(self, client: "Client", request: Request) -> None:
        """Carry out one request; its answers go to ``client``."""
        match request:
            case StatusRequest(sites):
                client.answer(self.status.snapshot(self.roster.expand(sites)))
                client.finish(Done())
            case Jobs(sites, watch):
                client.is_watching = watch
                self.jobs.tell(client, self.roster.expand(sites), all_sites=not sites, watch=watch)
            case History(sites, job, limit):
                client.run(self.jobs.tell_past(client, self.roster.expand(sites), job, limit))
            case Stop(daemon=True):
                self.steward.shut_down()
                client.wait_for(list(self.roster.config.sites), [], True)
            case _ if self.closing:
                client.finish(Refused(f"cannot {_verb(request)}: the daemon is stopping"))
            case Start(sites, wait):
                names = self.roster.expand(sites)
                client.wait_for(self.roster.start(names), self._disabled(sites, names), wait)
            case Stop(sites, wait):
                client.wait_for(self.roster.stop(self.roster.expand(sites)), [], wait)
            case Restart(sites, wait):
                names = self.roster.expand(sites)
                client.wait_for(self.roster.restart(names), self._disabled(sites, names), wait)
            case Reload(wait):
                client.run(self._reload(client, wait))
            case RunJob(site, job, wait):
                self.jobs.run(client, self.roster.expand([site]), job, wait=wait)
            case ListJobs():
                client.run(self._list(client, request))

    def _disabled(self, asked: Iterable[str], names: Iterable[str]) -> list[Result]:
        """Return results for sites that were asked for by name although they are not enabled."""
        sites = self.roster.config.sites
        off = [name for name in names if not sites[name].enabled] if asked else []
        return [Result(name, "STOPPED", ok=False, reason=DISABLED) for name in off]

    async def _reload(self, client: "Client", wait: bool) -> None:
        # A client that goes away must not leave it half done.
        lines, names = await asyncio.shield(self.steward.reload())
        client.wait_for(names, [], wait, lines)

    async def _list(self, client: "Client", request: ListJobs) -> None:
        name, *others = self.roster.expand([request.site])
        if others:
            raise UsageError(f"cannot list {request.site!r}: several sites are meant")
        client.answer(await self.steward.list_jobs(ListJobs(name, request.time_limit)))
        client.finish(Done())


class Client(asyncio.Protocol):
    """One connection: a request, then its answers."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._lines = Lines()
        self._asked = False
        self._pending: set[str] = set()
        self._results: list[Result] = []
        self._words: list[str] = []
        self._who = "?"
        self._task: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self.is_watching = False
        self.leaving: list[Callable[[], None]] = []  # called when it has gone
        self.reads = asyncio.Event()  # it has taken what it was told
        self.reads.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet nobody; somebody who says nothing is sent away."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # whatever is not read is waited for with patience only
        connection: socket.socket = transport.get_extra_info("socket")
        self._who = "pid {} of uid {}".format(*peer(connection))
        self._control.clients.add(self)
        if len(self._control.clients) > CLIENTS:
            self.finish(Refused(f"cannot serve more than {CLIENTS} clients at once"))
        self._be_patient()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the client; what it asked for goes on."""
        self._stop_patience()
        self._control.clients.discard(self)
        self._control.left.set()
        self._control.loop.listeners.discard(self._changed)
        for leave in self.leaving:
            leave()
        if self._task is not None:
            self._task.cancel()

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
            self._control.dispatch(self, request)
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
        self._task = asyncio.get_running_loop().create_task(self._guarded(work))

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
        self.answer(answer)
        self._transport.close()

    def wait_for(
        self, names: Iterable[str], results: list[Result], wait: bool, lines: Iterable[str] = ()
    ) -> None:
        """Answer Progress until each of ``names`` has come to rest, then Done."""
        self._results, self._words = results, list(lines)
        self._pending = set(names)
        self._control.loop.listeners.add(self._changed)
        for name in sorted(self._pending):
            if wait:
                self._changed(name)
            else:
                self._settle(name)
        self._finish_if_done()

    def _changed(self, name: str) -> None:
        if name not in self._pending:
            return
        if name in self._control.loop.fleet:
            self.answer(self._control.status.progress(name))
            if not self._control.loop.is_settled(name):
                return
        self._settle(name)
        self._finish_if_done()

    def _settle(self, name: str) -> None:
        if name in self._pending:
            self._pending.discard(name)
            if name in self._control.roster.config.sites:  # not if it was removed
                self._results.append(self._control.status.result(name))

    def _finish_if_done(self) -> None:
        if not self._pending and not self._transport.is_closing():
            self._control.loop.listeners.discard(self._changed)
            self._results.sort(key=lambda result: result.site)
            self.finish(Done(self._results, self._words))

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
        self._patience = loop.call_later(self._control.patience, self._transport.abort)

    def _stop_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def _verb(request: Request) -> str:
    return str(type(request).__struct_config__.tag)
