"""Holds that cannot be read: no start into a command that may still run, and nothing else is changed."""

import subprocess
import threading
from pathlib import Path

import pytest

from linodmgr.birth import born
from tests.eventually import eventually
from tests.fake_daemon import LINODMGR
from tests.real.asking import pid_of, sites, until
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site


@pytest.fixture
def running(daemon: Daemon, runtime: Path) -> Daemon:
    """A daemon with two sites, of which one is stopped by hand."""
    daemon.configure("".join(site(make_worker(runtime / name, "waits")) for name in ("one", "two")))
    daemon.start()
    daemon.cli("stop", "two")
    pid_of(daemon, "one")
    return daemon


def lose(daemon: Daemon) -> None:
    """Have the next daemon find damaged holds."""
    daemon.kill()
    (daemon.home / "state" / "holds.json").write_text('{"holds": [{"si')
    daemon.start()


def test_a_daemon_that_cannot_know_what_is_held_does_not_say_that_all_is_well(running: Daemon) -> None:
    running.cli("stop", "--daemon")
    lose(running)

    told = running.cli("start", "one", code=1).stdout
    assert "a command may still run: starts with linodmgr release one" in told
    running.cli("status", code=3)
    running.cli("status", "two")

    running.cli("release")
    until(running, "one", "RUNNING")
    running.cli("status")


def test_a_worker_that_runs_goes_on(running: Daemon) -> None:
    pid = pid_of(running, "one")

    lose(running)

    assert pid_of(running, "one") == pid
    running.cli("status")
    running.cli("restart", "--now", "one", code=1)
    assert pid_of(running, "one") == pid
    running.cli("release")


def test_a_release_starts_although_the_command_lives(running: Daemon) -> None:
    command = [LINODMGR, "--config", str(running.config), "hold", "one", "--", "sleep", "1000"]
    with subprocess.Popen(command) as process:
        eventually(lambda: "(pid " in (sites(running)["one"].reason or ""), "it is held")
        until(running, "one", "STOPPED")
        lose(running)

        running.cli("release", "one")

        until(running, "one", "RUNNING")
        process.terminate()


def test_a_hold_for_what_is_a_thread_by_now_is_over(running: Daemon) -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        running.kill()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        hold = f'{{"sites":{{"one":"/x"}},"pid":{thread.native_id},"started":{born(thread.native_id or 0)}'
        text = f'{{"holds":[{hold},"boot":"{boot}","command":"x"}}]}}'
        (running.home / "state" / "holds.json").write_text(text)
        running.start()

        assert "which has ended" in running.said()
        until(running, "one", "RUNNING")
    finally:
        end.set()
        thread.join()
