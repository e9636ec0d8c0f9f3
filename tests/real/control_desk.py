"""The control socket over a fleet whose processes are played, and clients that do not keep to the rules."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from linodmgr import protocol
from linodmgr.config import Config
from linodmgr.core import shown
from linodmgr.core.site import Policy, Site
from linodmgr.daemon.clients import PATIENCE
from linodmgr.daemon.control import Control
from linodmgr.daemon.history import History, own_directory
from linodmgr.daemon.hold_file import HoldFile
from linodmgr.daemon.holds import Holds
from linodmgr.daemon.job_answers import JobAnswers
from linodmgr.daemon.jobs import JobBook
from linodmgr.daemon.keep import Goals, Locks
from linodmgr.daemon.lines import listen
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.roster import Roster
from linodmgr.daemon.status import Status
from linodmgr.places import Places
from tests.eventually import eventually
from tests.fakes import FakeProcesses
from tests.real.loop_thread import LoopThread, loop_thread

HEARD_WITHIN = 20.0  # seconds
POLICY = Policy(settle=60.0, stop_timeout=60.0)


class Desk:
    """Is its own steward: it only notes what it is asked."""

    def __init__(self, thread: LoopThread, home: Path, names: Sequence[str], patience: float) -> None:
        self.thread = thread
        self.path = home / "control"
        self.processes = FakeProcesses()
        self.shut_downs = 0
        self.reloads = 0
        self.may_reload = thread.do(asyncio.Event)
        places = Places(home, home, home, home)
        sites = {name: Site(name=name, directory=f"/nowhere/{name}", policy=POLICY) for name in names}
        config = Config(home / "sites.toml", places, sites, [], "", None, 0, ())
        self.loop = thread.do(Loop, self.processes, 0)
        self.roster = Roster(config, Goals(home), self.loop, Holds(HoldFile(home), Locks(home)))
        logs = Logs(home, home / "output")
        self.history = History(own_directory(home))
        self.book = JobBook(self.loop, self.history, logs)
        status = Status(self.loop, logs, self.book)
        answers = JobAnswers(self.loop, self.book, self.history, logs)
        self.control = thread.do(Control, self.loop, self.roster, status, answers, self, patience)

    async def open(self) -> asyncio.AbstractServer:
        """Begin to serve."""
        self.roster.begin()
        loop = asyncio.get_running_loop()
        listening = listen(self.path, 0o660, None)
        return await loop.create_unix_server(self.control.connect, sock=listening, backlog=1024)

    async def close(self, server: asyncio.AbstractServer) -> None:
        """Serve nobody any more, and wait until everybody has left."""
        server.close()
        await self.control.everybody_left()
        self.book.close()
        self.history.close()

    def shut_down(self, *, now: bool = False) -> None:
        """Note it."""
        self.shut_downs += 1

    async def reload(self) -> tuple[list[str], list[str]]:
        """Note it once it is done."""
        await self.may_reload.wait()
        self.reloads += 1
        return ["nothing to do"], []

    async def list_jobs(self, request: protocol.ListJobs) -> protocol.Answer:
        """Never have an answer."""
        await asyncio.Event().wait()
        return protocol.Listing(request.site)

    def word(self, name: str) -> str:
        """Return the state of a site."""
        return self.thread.do(lambda: shown.word(self.loop.fleet[name]))

    def connect(self) -> socket.socket:
        """Return a new client's connection."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(HEARD_WITHIN)
        connection.connect(str(self.path))
        return connection

    def ask(self, request: protocol.Request | bytes) -> list[protocol.Answer]:
        """Return all that is answered to one request."""
        with self.connect() as connection:
            say(connection, request)
            return hear(connection)

    def nobody_is_left(self) -> None:
        """Wait until no client is remembered, in any way."""
        eventually(lambda: not self.thread.do(lambda: self.control.clients), "all clients are forgotten")
        # The roster and its restarts listen themselves, and stay.
        eventually(lambda: self.thread.do(lambda: len(self.loop.listeners)) == 2, "nobody listens")


def say(connection: socket.socket, what: protocol.Request | bytes) -> None:
    """Send it; whether it is read is not our business."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(what if isinstance(what, bytes) else protocol.encode(what))


def hear(connection: socket.socket) -> list[protocol.Answer]:
    """Return all answers until the other end hangs up."""
    said = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            said += chunk
    return [protocol.decode_answer(line) for line in bytes(said).splitlines()]


@contextlib.contextmanager
def desk(home: Path, *names: str, patience: float = PATIENCE) -> Iterator[Desk]:
    """Yield an open desk for sites of these names, all of them wanted."""
    with loop_thread() as thread:
        made = Desk(thread, home, names, patience)
        server = thread.wait(made.open())
        try:
            yield made
        finally:
            thread.wait(made.close(server))
