"""All parts of a running daemon: what each hands over, and how the next one takes it."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from linodmgr import __version__
from linodmgr.core import shown
from linodmgr.core.states import Stopping
from linodmgr.daemon import handover, upgrade
from linodmgr.daemon.clients import Client
from linodmgr.daemon.control import Control
from linodmgr.daemon.deaf import deaf
from linodmgr.daemon.door import Door
from linodmgr.daemon.handover import HandedClient, Handover
from linodmgr.daemon.history import History
from linodmgr.daemon.jobs import JobBook
from linodmgr.daemon.live import LiveWorker
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.notify import Notifier
from linodmgr.daemon.processes import LinuxProcesses
from linodmgr.daemon.reports import Reports
from linodmgr.daemon.roster import Roster
from linodmgr.daemon.values import worker
from linodmgr.errors import LinodmgrError
from linodmgr.places import Places

log = logging.getLogger(__name__)

FAREWELL = 1.0  # seconds for those who are sent away


@dataclass(frozen=True, slots=True)
class Parts:
    """What a daemon consists of while it serves."""

    places: Places  # in use
    lock: int
    open_files: tuple[int, int]
    door: Door
    report_socket: socket.socket
    notifier: Notifier
    processes: LinuxProcesses
    logs: Logs
    loop: Loop
    roster: Roster
    history: History
    book: JobBook
    reports: Reports
    control: Control
    is_stopping: Callable[[], bool]

    def hand_over(self, asker: Client | None) -> Handover:
        """Return all that the next daemon has to know. Raises LinodmgrError."""
        live = self.processes.hand_over()
        if unknown := set(self.loop.pids()) - {one.pid for one in live}:
            names = ", ".join(sorted(self.loop.name_of(pid) or "?" for pid in unknown))
            raise LinodmgrError(f"cannot upgrade: there is no record of the workers of {names}")
        runners, inquirers = self.reports.hand_over()
        return Handover(
            version=__version__,
            config=handover.packed(replace(self.roster.config, places=self.places)),
            open_files=self.open_files,
            notify=self.notifier.address,
            lock=self.lock,
            control=self.door.listening.fileno(),
            report=self.report_socket.fileno(),
            workers=self.loop.hand_over(),
            live=live,
            strangers=self.processes.orphans.hand_over(),
            book=self.book.hand_over(),
            runners=runners,
            dumps=self.reports.dumps.begins,
            inquirers=inquirers,
            clients=[] if asker is None else self.control.hand_over(asker),
            asker=-1 if asker is None else asker.connection,
            logs=self.logs.state(),
            rounds=self.roster.hand_over(),
            in_the_way=self.loop.guard.hand_over(),
        )

    def take_over(self, state: Handover) -> None:
        """Go on where an earlier daemon was; only its clients are still to come."""
        self.logs.restore(state.logs)
        for one in state.workers:
            self.loop.add(one.site)
            self.logs.adjust(one.site)
            self.loop.take_over(one.site.name, worker(one.worker), one.started, one.state_since)
        for live in state.live:
            self._adopt(live)
        self.processes.clear([one.site for one in state.workers])
        self.book.take_over(state.book)
        self.reports.take_over(state.runners, state.inquirers)
        self.reports.dumps.begins.update(state.dumps)
        for name, pid in state.in_the_way:
            self.loop.guard.watch(name, [pid])
        self.roster.take_over(state.rounds)
        self.loop.pace(self.roster.config.starts_at_once)

    async def greet(
        self, state: Handover, reload: Callable[[], Awaitable[tuple[list[str], list[str]]]]
    ) -> None:
        """Answer the clients of an earlier daemon; the configuration may be another by now."""
        await self.control.take_over(state.clients)
        asker = None
        if state.asker >= 0:
            asker = await self.control.join(state.asker)
            asker.take_over(HandedClient(connection=state.asker, asked=True))
        names: list[str] = []
        blocked = [name for name in self.loop.sites if shown.word(self.loop.fleet[name]) == "BLOCKED"]
        try:
            lines, names = await reload()
        except LinodmgrError as error:
            lines = [*str(error).splitlines(), "the old configuration is kept"]
        if asker is not None:
            now = f"the daemon runs version {__version__} now, {state.version} before"
            asker.wait_for(
                [name for name in names if name not in blocked],
                [],
                True,
                [now, *(lines if len(lines) > 1 else ())],
            )

    def _adopt(self, live: LiveWorker) -> None:
        name = live.site.name
        self.logs.attach(live.site, live.uid)
        is_stopping = name in self.loop.fleet and isinstance(self.loop.fleet[name].state, Stopping)
        try:
            self.processes.adopt(live, self.loop.exited, is_asked=is_stopping)
        except OSError as error:  # it was our child and is no longer: nobody knows how it has ended
            log.warning("%s: its worker (pid %d) is gone: %s", name, live.pid, error)
            self.processes.bury(live)
            if self.loop.name_of(live.pid) is not None:
                asyncio.get_running_loop().call_soon(self.loop.exited, live.pid, None)

    async def upgrade(self, asker: Client) -> None:
        """Become the daemon that is installed now, which gives ``asker`` its answer.

        Returns never. Raises LinodmgrError if it cannot be; then nothing has changed.
        """
        ours = self.processes.orphans.ours
        version = await upgrade.attempt(self.hand_over(None), ours.add, ours.discard)
        await self.door.shut()
        try:
            await self._become(version, asker)
        finally:  # that was not possible
            self.door.open()

    async def _become(self, version: str, asker: Client) -> None:
        await self.control.part(asker, FAREWELL)
        if not await self.history.is_written():
            raise LinodmgrError("cannot upgrade: the disk of the history does not answer")
        if self.is_stopping():
            raise LinodmgrError("cannot upgrade: the daemon is stopping")
        log.info("becoming version %s, from %s", version, __version__)
        self.notifier.reloading()
        with deaf():
            if self.is_stopping():  # asked in the last moment
                raise LinodmgrError("cannot upgrade: the daemon is stopping")
            self.processes.spare.rest()
            self.logs.packer.stop()
            self.history.close()
            try:
                upgrade.execute(self.hand_over(asker))
            except OSError as error:
                raise LinodmgrError(f"cannot upgrade: cannot execute it: {error.strerror}") from error
