"""Daemons whose workers are to be taken over by the next one."""

from pathlib import Path

from linodmgr.daemon import kin
from tests.real.asking import ready, sites
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site

NAMES = ("one", "two", "three")


def begin(daemon: Daemon, worker: str = "waits", names: tuple[str, ...] = NAMES, **keys: object) -> str:
    """Start a daemon with sites that are ready; return their configuration."""
    text = "".join(site(make_worker(daemon.home / name, worker), **keys) for name in names)
    daemon.configure(text)
    daemon.start()
    for name in names:
        ready(daemon, name)
    return text


def pids(daemon: Daemon) -> dict[str, int | None]:
    return {name: one.pid for name, one in sites(daemon).items()}


def record(daemon: Daemon, name: str = "one") -> Path:
    return daemon.home / "run" / "workers" / f"{name}.json"


def is_alive(pid: int | None) -> bool:
    """Whether a process lives; init may take its time with a zombie."""
    found = None if pid is None else kin.look(pid)
    return found is not None and not found.is_dead
