"""Nobody runs a worker into a command for which its site is held: not under another name, not elsewhere."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.fake_daemon import LINODMGR
from tests.real.asking import pid_of, sites, until
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site


@pytest.fixture
def one(runtime: Path) -> Path:
    return make_worker(runtime / "one", "waits")


@contextmanager
def holding(daemon: Daemon, *names: str) -> Iterator["subprocess.Popen[str]"]:
    """Yield a command for which sites are held: it writes ``begun`` and goes on until there is ``end``."""
    script = f"cd {daemon.home}; touch begun; while ! test -e end; do sleep 0.05; done"
    command = [LINODMGR, "--config", str(daemon.config), "hold", *names, "--", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            (daemon.home / "end").touch()


def has_begun(daemon: Daemon) -> None:
    eventually((daemon.home / "begun").exists, "the command runs")


def test_a_directory_that_was_moved_and_an_entry_that_was_renamed_stay_held(
    daemon: Daemon, one: Path
) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid_of(daemon, "one")
    with holding(daemon, "one"):
        has_begun(daemon)
        moved = one.rename(daemon.home / "moved")
        (daemon.home / "link").symlink_to(moved)
        daemon.configure(site(daemon.home / "link", name="another"))

        told = daemon.cli("reload", code=None).stdout

        assert "another: held for 'sh -c" in told
        assert sites(daemon)["another"].state == "STOPPED"
    until(daemon, "another", "RUNNING")


def test_a_second_daemon_keeps_out_of_it_also_if_the_first_one_dies(
    daemon: Daemon, other: Daemon, one: Path
) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid_of(daemon, "one")
    other.configure(site(one, backoff_max=0.2))
    other.start()
    until(other, "one", "BLOCKED")
    with holding(daemon, "one") as process:
        has_begun(daemon)
        blocked = sites(other)["one"]
        assert blocked.state == "BLOCKED"
        assert "sh -c cd " in (blocked.reason or "")

        daemon.kill()

        daemon.start()
        other.cli("start", "one", code=1)
        assert sites(other)["one"].state == "BLOCKED"
        (daemon.home / "end").touch()
        process.wait()
    eventually(lambda: _runs(daemon, other), "one of them runs it")
    assert _runs(daemon, other) == 1
    other.stop()


def _runs(*daemons: Daemon) -> int:
    return sum(sites(daemon)["one"].state == "RUNNING" for daemon in daemons)


def test_after_a_release_the_second_daemon_may_have_it(daemon: Daemon, other: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid_of(daemon, "one")
    daemon.cli("stop", "one")
    with holding(daemon, "one"):
        has_begun(daemon)
        other.configure(site(one))
        other.start()
        until(other, "one", "BLOCKED")

        daemon.cli("release", "one")

        other.cli("start", "one")
        until(other, "one", "RUNNING")


@pytest.mark.parametrize("stopped", [True, False])
def test_a_command_is_not_run_while_another_linod_runs(daemon: Daemon, one: Path, stopped: bool) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid_of(daemon, "one")
    if stopped:
        daemon.cli("stop", "one")
    with subprocess.Popen([sys.executable, "manage.py", "linod"], cwd=one) as stranger:
        done = daemon.cli("hold", "one", "--", "touch", str(daemon.home / "begun"), code=None)
        stranger.kill()

    assert done.returncode == 125
    assert f"another linod runs for this directory: pid {stranger.pid}" in done.stderr
    assert "'touch' was not run" in done.stderr
    assert not (daemon.home / "begun").exists()


def test_a_site_that_is_released_while_another_is_waited_for_is_not_held(
    daemon: Daemon, runtime: Path, one: Path
) -> None:
    slow = make_worker(runtime / "slow", "ignores_term")
    daemon.configure(site(one) + site(slow, stop_timeout=60))
    daemon.start()
    pid = pid_of(daemon, "slow")
    with holding(daemon, "one", "slow") as process:
        until(daemon, "slow", "STOPPING")
        until(daemon, "one", "STOPPED")
        daemon.cli("release", "one")
        os.kill(pid, signal.SIGKILL)
        _, problems = process.communicate()

    assert process.returncode == 125
    assert "one: " in problems
    assert "it is no longer held" in problems
    assert not (daemon.home / "begun").exists()
    daemon.cli("stop", "--now")


def test_the_second_of_two_holds_goes_on_alone(daemon: Daemon, other: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid_of(daemon, "one")
    first = subprocess.Popen([LINODMGR, "--config", str(daemon.config), "hold", "one", "--", "sleep", "2"])
    eventually(lambda: "(pid " in (sites(daemon)["one"].reason or ""), "it is held")
    until(daemon, "one", "STOPPED")
    with holding(daemon, "one"):
        has_begun(daemon)
        first.wait()
        other.configure(site(one))
        other.start()

        until(other, "one", "BLOCKED")
        other.stop()


def test_a_command_that_speaks_of_linod_is_none(daemon: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid_of(daemon, "one")
    command = [LINODMGR, "--config", str(daemon.config), "hold", "one", "--", "echo", "manage.py", "linod"]

    done = subprocess.run(command, cwd=one, capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == ("manage.py linod\n", 0)
