"""The process managers that are compared, each with the same tiny workers."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon

TINY = "tiny.c"  # stamps its start
OURSELVES = pwd.getpwuid(os.geteuid()).pw_name


@dataclass(frozen=True)
class Stamp:
    """When a worker began, in monotonic nanoseconds, and its process."""

    at: int
    pid: int


class Workers:
    """A number of tiny workers that write their stamps into one file; ``user`` empty: as ourselves."""

    def __init__(self, home: Path, count: int, user: str, program: str) -> None:
        self.home = home
        self.user = user
        self.count = count
        self.stamps_file = home / "stamps"
        self.stamps_file.touch()
        self.stamps_file.chmod(0o666)
        self.program = home / "tiny"
        source = Path(__file__).with_name(program)
        subprocess.run(["cc", "-O2", "-static", "-o", self.program, source], check=True)
        self.launched = 0  # monotonic nanoseconds
        self.names = [f"site{number:03}" for number in range(count)]

    def stamps(self) -> list[Stamp]:
        """Return the stamps written so far, in order."""
        return [Stamp(*map(int, line.split())) for line in self.stamps_file.read_text().splitlines()]

    def started(self, count: int, limit: float = 60.0) -> list[Stamp]:
        """Return all stamps as soon as there are ``count``."""
        eventually(lambda: len(self.stamps()) >= count, f"{count} workers have begun", limit)
        return self.stamps()


class Manager(Protocol):
    """Starts and stops a number of workers."""

    name: str
    workers: Workers
    process: psutil.Process  # of the manager itself

    def launch(self) -> None: ...
    def stop(self) -> None: ...


class Linodmgr:
    """Ours; pacing is off, and a run of 0.3 s counts as a good one."""

    name = "linodmgr"

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.daemon = Daemon(workers.home)
        user = f'user = "{workers.user or OURSELVES}"'
        sites = "".join(
            f'[[site]]\ndirectory = "{self._project(name)}"\nsettle = 0.1\ngood_run = 0.3\n{user}\n'
            f'environment = {{ STAMP = "{workers.stamps_file}" }}\n'
            for name in workers.names
        )
        self.daemon.configure(sites, daemon="starts_at_once = 0")

    def _project(self, name: str) -> Path:
        project = self.workers.home / name
        (project / "env" / "bin").mkdir(parents=True)
        (project / "manage.py").touch()
        os.link(self.workers.program, project / "env" / "bin" / "python")
        return project

    def launch(self) -> None:
        self.daemon.launch()
        self.process = psutil.Process(self.daemon.pid)

    def stop(self) -> None:
        self.daemon.stop()


class Supervisor:
    """Debian's supervisord."""

    name = "Supervisor"

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.config = workers.home / "supervisord.conf"
        home = workers.home
        user = f"user={workers.user}\n" if workers.user else ""
        head = (
            f"[supervisord]\nnodaemon=true\nlogfile={home}/log\npidfile={home}/pid\nchildlogdir={home}\n"
            f"{'user=root' if os.geteuid() == 0 else ''}\n"
            f"[unix_http_server]\nfile={home}/socket\n[supervisorctl]\nserverurl=unix://{home}/socket\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        )
        programs = "".join(
            f"[program:{name}]\ncommand={workers.program}\n{user}environment=STAMP={workers.stamps_file}\n"
            for name in workers.names
        )
        self.config.write_text(head + programs)

    def launch(self) -> None:
        with (self.workers.home / "output").open("wb") as output:
            self._popen = subprocess.Popen(
                ["supervisord", "-c", self.config], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.process = psutil.Process(self._popen.pid)

    def stop(self) -> None:
        self._popen.terminate()
        self._popen.wait()


class Daemontools:
    """Bernstein's, one `supervise` per worker, without `svscan`."""

    name = "daemontools"

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self._popens: list[subprocess.Popen[bytes]] = []
        change = f"setuidgid {workers.user} " if workers.user else ""
        for name in workers.names:
            service = workers.home / name
            service.mkdir()
            run = service / "run"
            run.write_text(f"#!/bin/sh\nexport STAMP={workers.stamps_file}\nexec {change}{workers.program}\n")
            run.chmod(0o755)

    def launch(self) -> None:
        for name in self.workers.names:
            service = self.workers.home / name
            self._popens.append(subprocess.Popen(["supervise", str(service)], stdin=subprocess.DEVNULL))
        self.process = psutil.Process(self._popens[0].pid)

    def stop(self) -> None:
        for name in self.workers.names:
            subprocess.run(["svc", "-dx", str(self.workers.home / name)], check=True)
        for popen in self._popens:
            popen.wait()


class Limit:
    """The least that any manager must do: wait, fork, exec."""

    name = "limit of this machine"

    def __init__(self, workers: Workers) -> None:
        self.workers = workers

    def launch(self) -> None:
        self._popen = subprocess.Popen(
            [self.workers.program, "again", self.workers.program],
            env={"STAMP": str(self.workers.stamps_file)},
            stdin=subprocess.DEVNULL,
        )
        self.process = psutil.Process(self._popen.pid)

    def stop(self) -> None:
        children = self.process.children()
        self._popen.kill()
        self._popen.wait()
        for child in children:
            child.kill()


@contextmanager
def running(
    kind: type[Linodmgr | Supervisor | Daemontools | Limit], count: int, user: str = "", program: str = TINY
) -> Iterator[Manager]:
    """Yield a launched manager with ``count`` workers; everything is gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="lm-bench-", dir="/tmp"))
    home.chmod(0o755)
    manager: Manager = kind(Workers(home, count, user, program))
    manager.workers.launched = time.monotonic_ns()
    manager.launch()
    try:
        yield manager
    finally:
        manager.stop()
        shutil.rmtree(home)
