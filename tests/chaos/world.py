"""Thirty sites of misbehaving workers, their configuration, and a daemon that is killed and started again."""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import schedule

from linodmgr.cli import client
from linodmgr.errors import LinodmgrError
from linodmgr.protocol import Answer, Request, Snapshot, Status
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import write_python
from tests.real.lino_sites import public_python
from tests.real.worker_sites import site

WORKER = Path(__file__).with_name("worker.py")
KINDS = {
    "steady": 8, "jobs": 4, "dies": 4, "deaf": 3, "family": 4, "breeder": 1, "loud": 3, "naked": 3,
}  # fmt: skip
QUICK = {"settle": 0.2, "good_run": 0.5, "backoff_max": 1, "log_max_bytes": 300_000, "log_keep": 1000}
STOP_TIMEOUT = {"jobs": 20}  # seconds; others 1
CALLS_DJANGO = "# execute_from_command_line\n"  # so that our hooks wait for the loop of its jobs
ANSWERED_WITHIN = 60.0  # seconds, whatever happens to the daemon meanwhile
NOWHERE = threading.Event()  # never set: waiting for it is waiting


@dataclass(slots=True)
class ChaosSite:
    """One site and what is asked of it. ``turn`` is held by whoever may change that."""

    name: str
    kind: str
    directory: Path
    user: str
    turn: threading.Lock = field(default_factory=threading.Lock)
    wanted: bool | None = True  # None: nobody can say just now
    since: float = 0.0  # monotonic; that it is wanted
    is_configured: bool = True
    variant: int = 0  # of its configuration

    def want(self, wanted: bool | None) -> None:
        """Know what is wanted from now on."""
        self.since = time.monotonic()
        self.wanted = wanted


class World:
    """The directories, the sites and the daemon of one chaos test."""

    def __init__(self, home: Path, users: tuple[str, ...], environment: dict[str, str]) -> None:
        self.home = home
        self.daemon = Daemon(home)
        self.control = home / "run" / "control"
        self.sites: dict[str, ChaosSite] = {}
        self.is_over = threading.Event()
        self.outages: list[tuple[float, float]] = []  # when the daemon was dead, monotonic
        self.troubles: list[float] = []  # when it could not do what it should: stopped, out of descriptors
        self.daemon_turn = threading.RLock()  # held by whoever disturbs the daemon
        self.config_turn = threading.Lock()
        self._environment = environment
        for name in ("stamps", "locks", "counts", "jobs", "holds"):
            (home / name).mkdir()
            (home / name).chmod(0o1777)
        library = home / "library"
        shutil.copytree(Path(schedule.__file__).parent, library / "schedule")
        os.system(f"chmod -R a+rX {library}")
        for kind, count in KINDS.items():
            for number in range(count):
                self._make(f"{kind}{number}", kind, users[number % len(users)])

    def configure(self) -> None:
        """Write the configuration of all sites that are in it."""
        text = "".join(self._text(one) for one in self.sites.values() if one.is_configured)
        self.daemon.configure(text, daemon="starts_at_once = 4")

    def begin(self) -> None:
        """Start the first daemon."""
        self.configure()
        self.start_daemon()

    def start_daemon(self) -> None:
        """Start a daemon and wait until it answers."""
        self.daemon.launch(environment=self._environment)
        end = time.monotonic() + ANSWERED_WITHIN
        while not self._answers():
            assert self.daemon.process is not None
            assert self.daemon.process.poll() is None, f"the daemon has ended:\n{self.daemon.said()}"
            assert time.monotonic() < end, f"the daemon does not answer:\n{self.daemon.said()}"
            NOWHERE.wait(0.02)

    def kill_daemon(self, pause: float) -> None:
        """Kill the daemon, and start another one after ``pause`` seconds."""
        with self.daemon_turn:
            begin = time.monotonic()
            self.daemon.kill()
            NOWHERE.wait(pause)
            self.start_daemon()
            self.outages.append((begin, time.monotonic()))

    def ask(self, request: Request, within: float = 30.0) -> list[Answer]:
        """Return the answers to ``request``. Raises LinodmgrError."""
        return list(client.ask(self.control, request, within))

    def insist(self, request: Request) -> list[Answer]:
        """Ask until there is an answer, whatever happens to the daemon meanwhile."""
        end = time.monotonic() + ANSWERED_WITHIN
        while True:
            try:
                return self.ask(request)
            except (LinodmgrError, OSError) as error:
                if time.monotonic() > end:
                    raise LinodmgrError(f"{request} is not answered: {error}") from error
                NOWHERE.wait(0.05)

    @contextlib.contextmanager
    def turn(self, names: list[str]) -> Iterator[list[ChaosSite]]:
        """Yield those of these sites that nobody else is busy with; nobody else touches them meanwhile."""
        taken = [self.sites[name] for name in names if self.sites[name].turn.acquire(blocking=False)]
        try:
            yield taken
        finally:
            for one in taken:
                one.turn.release()

    def was_out(self, begin: float, end: float) -> bool:
        """Whether there was no daemon at some instant between these two."""
        return any(dead <= end and begin <= back for dead, back in list(self.outages))

    def able_at(self, instant: float) -> float:
        """Return when a daemon that could not do what it should at ``instant`` could again."""
        return max([instant, *(back for back in list(self.troubles) if instant - 0.5 < back < instant + 1.5)])

    def _answers(self) -> bool:
        try:
            told = self.ask(Status(), 5.0)[0]
        except LinodmgrError:
            return False
        return isinstance(told, Snapshot) and told.pid == self.daemon.pid

    def lost(self) -> dict[str, int]:
        """Return how many bytes of each site the daemon counts as lost."""
        told = self.insist(Status())[0]
        return {site.name: site.lost_output for site in told.sites} if isinstance(told, Snapshot) else {}

    def _make(self, name: str, kind: str, user: str) -> None:
        directory = self.home / "sites" / name
        directory.mkdir(parents=True)
        (directory / "manage.py").write_text(WORKER.read_text() + (CALLS_DJANGO if kind == "jobs" else ""))
        write_python(directory / "env" / "bin" / "python", public_python())
        os.system(f"chmod -R a+rX {directory}")
        self.sites[name] = ChaosSite(name, kind, directory, user, since=time.monotonic())

    def _text(self, one: ChaosSite) -> str:
        environment = {
            "CHAOS_HOME": str(self.home),
            "CHAOS_LIBRARY": str(self.home / "library"),
            "CHAOS_SITE": one.name,
            "CHAOS_KIND": one.kind,
            "CHAOS_TEST": str(os.getpid()),
            "CHAOS_VARIANT": str(one.variant),
        }
        keys = {**QUICK, "stop_timeout": STOP_TIMEOUT.get(one.kind, 1), "user": one.user}
        return site(one.directory, name=one.name, environment=environment, **keys)


def is_alive(pid: int, started: str) -> bool:
    """Whether this very process lives; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == started and fields[0] not in "ZX"


def processes_of(names: set[str], home: Path) -> dict[str, list[int]]:
    """Return the live processes that were started by these sites, whoever their parents are by now."""
    found: dict[str, list[int]] = {}
    mark = f"CHAOS_HOME={home}".encode()
    for pid in sorted(psutil.pids(), reverse=True):  # the newest first: some do not live long
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = file.read().split(b"\0")
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                state = file.read().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if mark not in variables or state in "ZX":
            continue
        for variable in variables:
            name = variable[11:].decode() if variable.startswith(b"CHAOS_SITE=") else ""
            if name in names:
                found.setdefault(name, []).append(pid)
    return found
