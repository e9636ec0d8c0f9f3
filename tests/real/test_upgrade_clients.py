"""Whoever asks something while the daemon is upgraded, or wants it to end."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from linodmgr.cli import client
from linodmgr.protocol import Start, Stop, Upgrade, encode
from tests.eventually import eventually
from tests.real.asking import ask, done, pid_of, sites, until
from tests.real.daemon_fixture import LINODMGR, Daemon
from tests.real.upgrades import command, upgrade
from tests.real.worker_sites import make_worker, site

WAITS = """\
# execute_from_command_line is called by others
import os, time
import schedule

schedule.every(1).hours.do(print)
while not os.path.exists("go"):
    time.sleep(0.01)
while True:
    schedule.run_pending()
    time.sleep(0.01)
"""


def test_starts_stops_and_restarts_under_way_go_on(daemon: Daemon, runtime: Path) -> None:
    names = ("deaf", "slow", "first", "second")
    for name in names:
        make_worker(runtime / name, "ignores_term" if name == "deaf" else "waits")
    for name in ("slow", "first"):
        (runtime / name / "manage.py").write_text(WAITS)
        (runtime / name / "go").touch()
    settle = {"deaf": 0.2, "slow": 60, "first": 60, "second": 0.2}  # nobody is RUNNING before READY
    daemon.configure("".join(site(runtime / name, stop_timeout=100, settle=settle[name]) for name in names))
    daemon.start()
    pids = {name: pid_of(daemon, name) for name in names}
    done(daemon, Stop(("slow",)))
    for name in ("slow", "first"):
        (runtime / name / "go").unlink()
    running = [
        command(daemon, *words)
        for words in (
            ("stop", "deaf"),
            ("start", "slow"),
            ("restart", "first", "second", "--at-once", "1"),
        )
    ]
    try:
        until(daemon, "deaf", "STOPPING")
        until(daemon, "slow", "STARTING")
        until(daemon, "first", "STARTING")
        upgrade(daemon)
        seen = sites(daemon)
        assert (seen["deaf"].state, seen["slow"].state, seen["first"].state) == (
            *("STOPPING", "STARTING", "STARTING"),
        )
        assert seen["second"].pid == pids["second"]
    finally:
        os.kill(pids["deaf"], signal.SIGKILL)
        for name in ("slow", "first"):
            (runtime / name / "go").touch()
        said = [(process.communicate(timeout=60)[0], process.returncode) for process in running]

    assert [code for _, code in said] == [0, 0, 0], said
    assert "deaf: STOPPED" in said[0][0]
    assert "slow: RUNNING" in said[1][0]
    assert "first: RUNNING" in said[2][0]
    assert "second: RUNNING" in said[2][0]
    assert pid_of(daemon, "second") != pids["second"]


def test_nobody_who_asks_meanwhile_is_turned_away(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid_of(daemon, "one")
    watching = subprocess.Popen(
        [LINODMGR, "list", "--watch", "--json"],
        env=daemon._environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    silent = client.connect(daemon.home / "run" / "control")
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline()
        upgrading = subprocess.Popen(
            [LINODMGR, "upgrade"], env=daemon._environment(), stdout=subprocess.DEVNULL
        )
        while upgrading.poll() is None:
            assert sites(daemon)["one"].state == "RUNNING"
        assert upgrading.returncode == 0
        with silent:
            assert len(list(client.converse(silent, daemon.home, Start(("one",)), 10.0))) == 2
        assert watching.stdout.readline(), "it is told by the next daemon"
        assert watching.poll() is None
    finally:
        watching.terminate()
        watching.communicate()


def test_whoever_asked_may_go_away(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid = pid_of(daemon, "one")
    with client.connect(daemon.home / "run" / "control") as connection:
        client._send(connection, encode(Upgrade()))

    eventually(lambda: daemon.said().count("serving ") == 2, "the next daemon serves")
    assert pid_of(daemon, "one") == pid


def test_two_upgrades_at_once_are_two_upgrades(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid = pid_of(daemon, "one")
    both = [
        subprocess.Popen([LINODMGR, "upgrade"], env=daemon._environment(), stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert daemon.said().count("becoming version") == 2
    assert pid_of(daemon, "one") == pid


@pytest.mark.parametrize("after", [0.0, 0.001, 0.005], ids=["at once", "1 ms", "5 ms"])
@pytest.mark.parametrize("reloaded", [False, True], ids=["", "reloaded"])  # then there is one thread more
def test_a_signal_that_comes_meanwhile_is_not_lost(
    daemon: Daemon, runtime: Path, after: float, reloaded: bool
) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid = pid_of(daemon, "one")
    if reloaded:
        daemon.cli("reload")
    with subprocess.Popen(
        [LINODMGR, "upgrade"], env=daemon._environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ):
        while b"becoming" not in daemon.output.read_bytes():  # it executes within milliseconds
            pass
        moment = time.monotonic() + after
        while time.monotonic() < moment:
            pass
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(timeout=30) == 0
    assert daemon.said().rstrip().endswith("INFO stopped")
    assert not psutil.pid_exists(pid)


def test_another_upgrade_is_refused_while_everything_stops(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "ignores_term"), stop_timeout=100))
    daemon.start()
    pid = pid_of(daemon, "one")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    until(daemon, "one", "STOPPING")

    with pytest.raises(client.Refusal, match="cannot upgrade: the daemon is stopping"):
        ask(daemon, Upgrade())
    os.kill(pid, signal.SIGKILL)
    assert daemon.process.wait() == 0
