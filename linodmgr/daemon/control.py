"""The socket people talk to. Who may connect may do everything: its mode is 0660, root:group."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from linodmgr.core import shown
from linodmgr.core.states import Goal
from linodmgr.daemon.clients import PATIENCE, Client
from linodmgr.daemon.handover import HandedClient
from linodmgr.daemon.job_answers import JobAnswers
from linodmgr.daemon.lines import taken_over
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.roster import DISABLED, Roster
from linodmgr.daemon.status import Status
from linodmgr.errors import UsageError
from linodmgr.protocol import (
    Answer,
    Done,
    History,
    Hold,
    Jobs,
    ListJobs,
    Refused,
    Release,
    Reload,
    Request,
    Restart,
    Result,
    RunJob,
    Start,
    Stop,
    Upgrade,
)
from linodmgr.protocol import Status as StatusRequest


class Steward(Protocol):
    """What concerns the whole daemon."""

    def shut_down(self, *, now: bool = False) -> None:
        """Stop everything, then end. ``now``: no job may end."""
        ...

    async def reload(self) -> tuple[list[str], list[str]]:
        """Read the configuration again; return lines for people and the sites on their way."""
        ...

    async def list_jobs(self, request: ListJobs) -> Answer:
        """Run the list mode of one site."""
        ...

    async def upgrade(self, asker: Client) -> None:
        """Become the daemon that is installed now; that one gives ``asker`` its answer."""
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

    async def part(self, asker: Client, limit: float) -> None:
        """Send away, within ``limit`` seconds, who cannot be handed over to the next daemon."""
        for client in tuple(self.clients):
            if client is not asker and client.hand_over() is None:
                client.finish(Refused("the daemon is being upgraded: ask again", again=True))
        tasks = [task for client in self.clients if client is not asker and (task := client.task)]
        if tasks:
            await asyncio.wait(tasks, timeout=limit)

    def hand_over(self, asker: Client) -> list[HandedClient]:
        """Return who goes on with the next daemon, but for ``asker``."""
        others = [client for client in self.clients if client is not asker]
        return [handed for client in others if (handed := client.hand_over())]

    async def take_over(self, clients: Iterable[HandedClient]) -> None:
        """Go on with those whom an earlier daemon listened to."""
        for handed in clients:
            client = await self.join(handed.connection)
            client.take_over(handed)
            if handed.follows is not None:
                self.jobs.follow(client, handed.follows)

    async def join(self, connection: int) -> Client:
        """Return the one at the other end of an open connection."""
        loop = asyncio.get_running_loop()
        _, client = await loop.connect_accepted_socket(lambda: Client(self), taken_over(connection))
        return client

    def connect(self) -> asyncio.Protocol:
        """Return the protocol of one more connection."""
        return Client(self)

    def dispatch(self, client: Client, request: Request) -> None:
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
            case Stop(daemon=True, now=now):
                self.steward.shut_down(now=now)
                client.wait_for(list(self.roster.config.sites), [], True)
            case _ if self.closing:
                client.finish(Refused(f"cannot {_verb(request)}: the daemon is stopping"))
            case Start(sites, wait):
                names, client.wants = self.roster.expand(sites), Goal.UP.value
                client.wait_for(self.roster.start(names), self._left_alone(sites, names), wait)
            case Stop(sites, wait, now=now):
                client.wants = Goal.DOWN.value
                client.wait_for(self.roster.stop(self.roster.expand(sites), now=now), [], wait)
            case Restart(sites, wait, now, at_once):
                names, client.wants = self.roster.expand(sites), Goal.UP.value
                begun = self.roster.restart(names, at_once, now=now)
                client.wait_for(begun, self._left_alone(sites, names), wait)
            case Hold(sites, pid, started, command):
                names = self.roster.expand(sites)
                begun = self.roster.hold(names, (pid, started), client.uid, command)
                client.holder = (pid, started)
                client.wait_for(begun, [], True)
            case Release(sites, wait, 0):
                names = self.roster.expand(sites)
                begun = self.roster.release(names)
                client.wait_for(
                    begun, [self.status.result(name) for name in names if name not in begun], wait
                )
            case Release(sites, wait, pid, started):
                client.wait_for(self.roster.end_hold(sites, (pid, started)), [], wait)
            case Reload(wait):
                client.run(self._reload(client, wait))
            case Upgrade():
                client.run(self.steward.upgrade(client))
            case RunJob(site, job, wait):
                self.jobs.run(client, self.roster.expand([site]), job, wait=wait)
            case ListJobs():
                client.run(self._list(client, request))

    def _left_alone(self, asked: Iterable[str], names: Iterable[str]) -> list[Result]:
        """Return results for sites that are not started: held, or disabled but asked for by name."""
        results = []
        for name in names:
            reason = self.roster.why_left_alone(name)
            if reason and (asked or reason != DISABLED):
                state = shown.word(self.loop.fleet[name])
                results.append(Result(name, state, ok=not asked, reason=reason))
        return results

    async def _reload(self, client: Client, wait: bool) -> None:
        # A client that goes away must not leave it half done.
        lines, names = await asyncio.shield(self.steward.reload())
        client.wait_for(names, [], wait, lines)

    async def _list(self, client: Client, request: ListJobs) -> None:
        name, *others = self.roster.expand([request.site])
        if others:
            raise UsageError(f"cannot list {request.site!r}: several sites are meant")
        client.answer(await self.steward.list_jobs(ListJobs(name, request.time_limit)))
        client.finish(Done())


def _verb(request: Request) -> str:
    return str(type(request).__struct_config__.tag)
