"""Wire the parts, and run."""

import asyncio
import concurrent.futures.thread  # noqa: F401 - asyncio would import it when it is used: other files may be there then
import contextlib
import logging
import signal
from functools import partial

from linodmgr import cgroups, launch
from linodmgr.config import Config, load
from linodmgr.core import shown
from linodmgr.daemon import handover
from linodmgr.daemon.adoption import Adoption, keeper
from linodmgr.daemon.clients import Client
from linodmgr.daemon.contain import Contain
from linodmgr.daemon.control import Control
from linodmgr.daemon.deaf import in_thread
from linodmgr.daemon.door import Door
from linodmgr.daemon.ground import (
    let_go_of_the_terminal,
    raise_open_files,
)
from linodmgr.daemon.history import History, own_directory
from linodmgr.daemon.hold_file import HoldFile
from linodmgr.daemon.holds import Holds
from linodmgr.daemon.job_answers import JobAnswers
from linodmgr.daemon.jobs import JobBook
from linodmgr.daemon.keep import Goals, Locks
from linodmgr.daemon.lines import listen, taken_over
from linodmgr.daemon.listing import Lister
from linodmgr.daemon.live import LiveRecords
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.memory import Memory
from linodmgr.daemon.notify import Notifier
from linodmgr.daemon.processes import LinuxProcesses
from linodmgr.daemon.reports import Reports
from linodmgr.daemon.roster import Roster
from linodmgr.daemon.slack import give_back
from linodmgr.daemon.status import Status
from linodmgr.daemon.succession import Parts
from linodmgr.errors import LinodmgrError
from linodmgr.protocol import Listing, ListJobs

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CALM = 3.0  # seconds after the start, when most of it is done
FAREWELL = 1.0  # seconds for the last answers to be read
STOP_MARGIN = 10.0  # seconds beside the longest stop timeout


class Daemon:
    """All parts of one running daemon."""

    def __init__(
        self, config: Config, background: bool, lock: int, handed: handover.Handover | None = None
    ) -> None:
        places = config.places
        self._config = config
        self._background = background
        self._lock = lock
        self._handed = handed
        self._open_files = handed.open_files if handed else raise_open_files()
        self._notifier = Notifier(handed.notify if handed else None)
        self._logs = Logs(places.log_dir, places.runtime_dir / "output")
        self._runner_dir = launch.lay_out(places.runtime_dir)
        locks, records = Locks(places.lock_dir), LiveRecords(places.runtime_dir)
        self._processes = LinuxProcesses(
            self._runner_dir,
            places.report,
            locks,
            self._logs,
            self._open_files,
            Contain(cgroups.find(places.runtime_dir), places.runtime_dir),
            records,
        )
        known = self._processes.orphans.ours
        self._logs.packer.born, self._logs.packer.dead = known.add, known.discard
        self._loop = Loop(self._processes, config.starts_at_once)
        self._loop.removed = self._logs.remove
        self._loop.listeners.add(keeper(self._loop, records))
        self._adoption = Adoption(records, locks, self._loop, self._processes, self._logs)
        holds = Holds(HoldFile(places.state_dir), locks)
        self._roster = Roster(config, Goals(places.state_dir), self._loop, holds)
        self._history = History(own_directory(places.state_dir))
        self._book = JobBook(self._loop, self._history, self._logs)
        self._book.ticked = Memory(self._loop, self._processes).look
        self._status = Status(self._loop, self._logs, self._book)
        self._status.is_wanted = self._roster.is_wanted
        self._loop.waits_for = self._status.waits_for
        answers = JobAnswers(self._loop, self._book, self._history, self._logs)
        self._control = Control(self._loop, self._roster, self._status, answers, self)
        self._lister = Lister(self._runner_dir, known)
        self._is_asked_to_stop = False
        self._gone: asyncio.Event
        self._reloading: asyncio.Lock
        self._summary: asyncio.Handle | None = None
        self._reload_task: asyncio.Task[None] | None = None
        self._greeting: asyncio.Task[None] | None = None

    async def serve(self) -> int:
        """Serve until everything is stopped; return the exit code."""
        places = self._config.places
        self._gone = asyncio.Event()
        self._reloading = asyncio.Lock()
        here = asyncio.get_running_loop()
        here.add_signal_handler(signal.SIGHUP, self._reload_soon)
        for number in STOP_SIGNALS:
            signal.signal(number, partial(self._stop_soon, here))
        self._processes.begin(handed.strangers if (handed := self._handed) else None)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # our handlers stand
        self._logs.resume(self._config.sites.values())
        report = taken_over(handed.report) if handed else listen(places.report, 0o666, None)
        control = (
            taken_over(handed.control) if handed else listen(places.control, 0o660, self._config.group_id)
        )
        reports = Reports(self._loop, report, self._book, self._logs, str(self._runner_dir))
        self._parts = Parts(
            places=places,
            lock=self._lock,
            open_files=self._open_files,
            door=Door(control, self._control.connect),
            report_socket=report,
            notifier=self._notifier,
            processes=self._processes,
            logs=self._logs,
            loop=self._loop,
            roster=self._roster,
            history=self._history,
            book=self._book,
            reports=reports,
            control=self._control,
            is_stopping=lambda: self._is_asked_to_stop or self._control.closing,
        )
        if handed:
            self._parts.take_over(handed)
        self._loop.listeners.add(self._changed)
        if handed:
            self._greeting = here.create_task(self._parts.greet(handed, self.reload))
            self._handed = None
        else:
            self._roster.begin(self._adoption.adopt(self._config.sites, str(self._runner_dir)))
        runners = {live.runner for live in self._processes.hand_over()}
        launch.tidy(places.runtime_dir, runners | {str(self._runner_dir)})
        log.info("serving %s, %s", places.runtime_dir, self._status.summary())
        if self._background:
            let_go_of_the_terminal()
        self._notifier.ready(self._status.summary())
        calm = here.call_later(CALM, give_back)
        await self._gone.wait()
        calm.cancel()
        reports.close()
        self._processes.close()
        self._roster.close()
        self._parts.door.close()
        self._book.close()
        self._logs.close()
        self._control.dismiss()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._control.everybody_left(), FAREWELL)
        for socket_path in (places.control, places.report):
            socket_path.unlink(missing_ok=True)
        self._history.close()
        log.info("stopped")
        # Whoever asks once more must not make a failure of it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {*STOP_SIGNALS, signal.SIGHUP})
        return 0

    def _stop_soon(self, here: asyncio.AbstractEventLoop, *_: object) -> None:
        """Hear a stop signal, wherever the main thread is; unlike asyncio's, known at once to an upgrade."""
        self._is_asked_to_stop = True
        here.call_soon_threadsafe(self.shut_down)

    def shut_down(self, *, now: bool = False) -> None:
        """Stop everything, then end. ``now``: no job may end, also if it was asked to stop before."""
        if self._control.closing and not now:
            return
        self._control.closing = True
        log.info("stopping everything%s", " at once" if now else "")
        seconds = self._roster.shut_down(now=now)
        self._notifier.stopping(seconds + STOP_MARGIN)
        self._end_if_all_stopped()

    async def reload(self) -> tuple[list[str], list[str]]:
        """Read the configuration again; return lines for people and the sites on their way.

        Raises ConfigError; then the old configuration is kept.
        """
        async with self._reloading:
            if not self._control.closing:
                self._notifier.reloading()
            known = {name: site.identity for name, site in self._loop.sites.items() if site.identity}
            try:
                # In a thread: a directory service that hangs must not stop the restarts.
                config = await in_thread(load, self._config.path, known)
            except LinodmgrError as error:
                log.error("the old configuration is kept: %s", error)
                raise
            finally:
                if not self._control.closing:
                    self._notifier.ready(self._status.summary())
            if self._control.closing:  # nothing may be started any more
                raise LinodmgrError("cannot reload: the daemon is stopping")
            for problem in config.problems:
                log.warning("%s", problem)
            lines, names = self._roster.reload(config)
            self._book.adjust()
            for site in config.sites.values():
                self._logs.adjust(site)
            for line in lines:
                log.info("reload: %s", line)
            return lines + config.problems, names

    async def upgrade(self, asker: Client) -> None:
        """Become the daemon that is installed now. Raises LinodmgrError if it cannot be; we go on then."""
        await asyncio.shield(self._upgrade(asker))  # even if the client goes away

    async def list_jobs(self, request: ListJobs) -> Listing:
        """Run the list mode of one site."""
        return await self._lister.listing(self._roster.config.sites[request.site], request.time_limit)

    async def _upgrade(self, asker: Client) -> None:
        async with self._reloading:
            try:
                await self._parts.upgrade(asker)
            except (LinodmgrError, OSError) as error:
                log.error("this daemon goes on: %s", error)
                if not self._control.closing:
                    self._notifier.ready(self._status.summary())
                if isinstance(error, LinodmgrError):
                    raise
                raise LinodmgrError(f"cannot upgrade: {error.strerror or error}") from error

    def _reload_soon(self) -> None:
        async def reload() -> None:
            with contextlib.suppress(LinodmgrError):  # it is in the log
                await self.reload()

        if not self._control.closing:
            self._reload_task = asyncio.get_running_loop().create_task(reload())

    def _changed(self, name: str) -> None:
        """Tell systemd, once for all that changes at the same time; end when there is nothing left."""
        if name in self._loop.fleet and shown.is_at_rest(self._loop.fleet[name]):
            self._logs.rest(name)
        if self._summary is None and self._notifier.is_heard:
            self._summary = asyncio.get_running_loop().call_soon(self._tell_summary)
        self._end_if_all_stopped()

    def _tell_summary(self) -> None:
        self._summary = None
        if not self._control.closing:
            self._notifier.status(self._status.summary())

    def _end_if_all_stopped(self) -> None:
        if self._control.closing and self._roster.is_gone():
            self._gone.set()
