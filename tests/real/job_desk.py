"""The control socket over workers that are plays: people ask of jobs, have them run, and watch."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from linodmgr import protocol
from linodmgr.config import Config
from linodmgr.daemon.control import Control
from linodmgr.daemon.hold_file import HoldFile
from linodmgr.daemon.holds import Holds
from linodmgr.daemon.job_answers import JobAnswers
from linodmgr.daemon.keep import Goals, Locks
from linodmgr.daemon.lines import listen
from linodmgr.daemon.roster import Roster
from linodmgr.daemon.status import Status
from linodmgr.places import Places
from tests.real.control_desk import HEARD_WITHIN, hear, say
from tests.real.puppets import Theatre, theatre


class JobDesk:
    """A theatre whose sites people can ask of. Is its own steward, for whom there is nothing to do."""

    def __init__(self, stage: Theatre) -> None:
        self.stage = stage
        self.path = stage.home / "control"
        places = Places(stage.home, stage.home, stage.home, stage.home)
        config = Config(stage.home / "sites.toml", places, stage.loop.sites, [], "", None, 0, ())
        roster = stage.thread.do(
            Roster, config, Goals(stage.home), stage.loop, Holds(HoldFile(stage.home), Locks(stage.home))
        )
        answers = JobAnswers(stage.loop, stage.book, stage.history, stage.logs)
        status = Status(stage.loop, stage.logs, stage.book)
        self.control = stage.thread.do(Control, stage.loop, roster, status, answers, self)

    def shut_down(self, *, now: bool = False) -> None:
        """Do nothing."""

    async def reload(self) -> tuple[list[str], list[str]]:
        """Do nothing."""
        return [], []

    async def list_jobs(self, request: protocol.ListJobs) -> protocol.Answer:
        """Know nothing."""
        return protocol.Listing(request.site)

    def connect(self) -> socket.socket:
        """Return a new client's connection."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(HEARD_WITHIN)
        connection.connect(str(self.path))
        return connection

    def ask(self, request: protocol.Request) -> list[protocol.Answer]:
        """Return all that is answered to one request."""
        with self.connect() as connection:
            say(connection, request)
            return hear(connection)

    def jobs(self, name: str) -> protocol.SiteJobs:
        """Return what is told of the jobs of one site."""
        jobs, done = self.ask(protocol.Jobs((name,)))
        assert isinstance(done, protocol.Done)
        assert isinstance(jobs, protocol.SiteJobs)
        return jobs

    @contextlib.contextmanager
    def asking(self, request: protocol.Request) -> Iterator[Iterator[protocol.Answer]]:
        """Yield the answers as they come; leaves at the end."""
        with self.connect() as connection:
            say(connection, request)
            with connection.makefile("rb") as lines:
                yield (protocol.decode_answer(line) for line in lines)


@contextlib.contextmanager
def job_desk(home: Path) -> Iterator[JobDesk]:
    """Yield an open desk."""
    with theatre(home) as stage:
        made = JobDesk(stage)
        listening = listen(made.path, 0o660, None)
        server = stage.thread.wait(_open(made, listening))
        try:
            yield made
        finally:
            stage.thread.do(server.close)
            stage.thread.do(made.control.dismiss)
            stage.thread.wait(made.control.everybody_left())


async def _open(made: JobDesk, listening: socket.socket) -> asyncio.AbstractServer:

    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(made.control.connect, sock=listening)
