"""Many sites whose starts are not possible leave descriptors for people."""

from pathlib import Path

from tests.eventually import eventually
from tests.real.asking import sites, stop, until
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import site


def test_the_last_descriptors_are_kept_for_people(daemon: Daemon, runtime: Path) -> None:
    names = [f"site{number}" for number in range(50)]
    for name in names:
        make_sleeper(runtime / name)
    daemon.configure(
        "".join(site(runtime / name, backoff_max=1) for name in names), daemon="starts_at_once = 0"
    )
    daemon.start("prlimit", "--nofile=96:96")

    states = eventually(lambda: at_rest(daemon), "all run or wait")
    assert {"RUNNING", "BACKOFF"} == set(states.values())
    waiting = [name for name, state in states.items() if state == "BACKOFF"]
    assert "cannot start another worker: Too many open files" in str(sites(daemon)[waiting[0]].reason)

    stop(daemon, *[name for name in names if name not in waiting][:40])
    for name in waiting:
        until(daemon, name, "RUNNING")


def make_sleeper(directory: Path) -> None:
    python = directory / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    (directory / "manage.py").touch()
    python.write_text("#!/bin/sh\nexec sleep 100000\n")
    python.chmod(0o755)


def at_rest(daemon: Daemon) -> dict[str, str]:
    states = {name: status.state for name, status in sites(daemon).items()}
    return states if set(states.values()) <= {"RUNNING", "BACKOFF"} else {}
