"""Two worlds for the same tests: processes that are played, and real ones."""

import contextlib
import os
import pwd
import signal
from pathlib import Path
from typing import Protocol

from linodmgr.core.site import Identity, Site
from linodmgr.daemon.contain import Contain
from linodmgr.daemon.keep import Locks
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.processes import LinuxProcesses
from tests.eventually import eventually
from tests.fakes import FakeProcesses
from tests.real.loop_thread import LoopThread

SLEEPS = "exec sleep 100000"
IS_DEAF = "trap '' TERM\ntouch {here}/deaf\nexec sleep 100000"
HAS_A_CHILD = "sleep 100000 & echo $! >{here}/child.part\nmv {here}/child.part {here}/child\nwait"
GOES_ON = "trap 'echo heard >{here}/stopped' TERM\n" + HAS_A_CHILD.replace("wait", "while :; do wait; done")
LIMITS = (1024, 4096)


class World(Protocol):
    """A kind of processes, and what happens to them from outside."""

    exits: list[tuple[int, int | None]]  # pid and status, as they are told

    def spawn(self, directory: str, script: str = SLEEPS, name: str = "", problem: str = "") -> int:
        """Return the pid of a new worker that does what ``script`` says. Raises SpawnError."""

    def terminate(self, pid: int) -> None:
        """Ask it to stop."""

    def kill(self, pid: int) -> None:
        """Kill it with all that it has started."""

    def end(self, pid: int) -> None:
        """Let it be killed by somebody else."""


class Played:
    """Nothing is real."""

    def __init__(self, thread: LoopThread) -> None:
        self.exits: list[tuple[int, int | None]] = []
        self._thread = thread
        self._processes = FakeProcesses()

    def spawn(self, directory: str, script: str = SLEEPS, name: str = "", problem: str = "") -> int:
        """Return the pid of a new worker that does what ``script`` says. Raises SpawnError."""
        site = Site(name=name or directory, directory=f"/nowhere/{directory}", problem=problem)
        if script == IS_DEAF:
            self._processes.deaf.add(site.name)
        return self._thread.do(self._processes.spawn, site, self._told)

    def terminate(self, pid: int) -> None:
        """Ask it to stop."""
        self._thread.do(self._processes.terminate, pid)
        self._thread.do(self._processes.obey)

    def kill(self, pid: int) -> None:
        """Kill it."""
        self._thread.do(self._processes.kill, pid)
        self._thread.do(self._processes.obey)

    def end(self, pid: int) -> None:
        """Let it be killed by somebody else."""
        self._thread.do(self._processes.exit, pid, -signal.SIGKILL)

    def _told(self, pid: int, status: int | None) -> None:
        self.exits.append((pid, status))


class Linux:
    """Real processes, in directories under ``runtime``."""

    def __init__(self, thread: LoopThread, runtime: Path, base: str = "") -> None:
        self.exits: list[tuple[int, int | None]] = []
        self.logs = runtime / "log"
        self.locks = runtime / "locks"
        self.pipes = runtime / "output"
        self.logs.mkdir()
        self.locks.mkdir()
        self._runtime = runtime
        self._thread = thread
        self._logs = Logs(self.logs, self.pipes)
        self._processes = LinuxProcesses(
            runtime, runtime / "report", Locks(self.locks), self._logs, LIMITS, Contain(base, runtime)
        )
        self._alive: set[int] = set()

    def site(self, directory: str, script: str = SLEEPS, name: str = "", problem: str = "") -> Site:
        """Return a site whose worker is ``script``."""
        place = self._runtime / directory
        python = place / "env" / "bin" / "python"
        if not python.exists():
            python.parent.mkdir(parents=True, exist_ok=True)
            python.write_text("#!/bin/sh\n" + script.format(here=place) + "\n")
            python.chmod(0o755)
        who = pwd.getpwuid(os.geteuid())
        ourselves = Identity(who.pw_name, who.pw_uid, who.pw_gid, (), who.pw_dir, who.pw_shell)
        return Site(name=name or directory, directory=str(place), identity=ourselves, problem=problem)

    def spawn(self, directory: str, script: str = SLEEPS, name: str = "", problem: str = "") -> int:
        """Return the pid of a new worker that does what ``script`` says. Raises SpawnError."""
        site = self.site(directory, script, name, problem)
        pid = self.spawn_site(site)
        if script == IS_DEAF:
            eventually(Path(site.directory, "deaf").exists, "the worker is deaf")
        return pid

    def spawn_site(self, site: Site) -> int:
        """Return the pid of its worker. Raises SpawnError."""

        def start() -> int:
            pid = self._processes.spawn(site, self._told)
            self._alive.add(pid)
            return pid

        return self._thread.do(start)

    def terminate(self, pid: int) -> None:
        """Ask it to stop."""
        self._thread.do(self._processes.terminate, pid)

    def kill(self, pid: int) -> None:
        """Kill it with all that it has started."""
        self._thread.do(self._processes.kill, pid)

    def end(self, pid: int) -> None:
        """Let it be killed by somebody else."""
        os.kill(pid, signal.SIGKILL)

    def end_all(self) -> None:
        """Kill whoever is left, and wait until that is told."""
        for pid in self._alive.copy():
            self.kill(pid)
        eventually(lambda: not self._alive, "all have ended")
        self._thread.do(self._processes.close)

    def note(self, directory: str, name: str) -> str:
        """Return what a worker has written into a file of its site, empty if it has not."""
        with contextlib.suppress(FileNotFoundError):
            return (self._runtime / directory / name).read_text().strip()
        return ""

    def _told(self, pid: int, status: int | None) -> None:
        self._alive.discard(pid)
        self.exits.append((pid, status))
