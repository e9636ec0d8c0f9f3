"""Linods that others started are in the way of a site: named, and waited for."""

import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.real.asking import pid_of, sites, stop, until
from tests.real.checked import foreign_linod, held_by
from tests.real.daemon_fixture import Daemon
from tests.real.lino_sites import public_python
from tests.real.worker_sites import make_worker, site

SUPERVISOR = """\
[unix_http_server]
file = {here}/sv.sock
[supervisord]
logfile = {here}/sv.log
pidfile = {here}/sv.pid
nodaemon = true
user = root
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:one]
command = {python} manage.py linod
directory = {project}
startsecs = 0
"""


@pytest.fixture
def one(runtime: Path) -> Path:
    return make_worker(runtime / "one", "waits")


@pytest.fixture
def stranger(one: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Somebody who has typed the command by hand."""
    with started([sys.executable, "manage.py", "linod"], one) as process:
        yield process


@contextlib.contextmanager
def started(arguments: list[str], directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a process that is killed in the end."""
    with subprocess.Popen(
        arguments,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_linod_that_was_started_by_hand_is_named_with_who_started_it(
    daemon: Daemon, one: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    daemon.configure(site(one))
    daemon.start()

    reason = str(until(daemon, "one", "BLOCKED").reason)
    assert held_by(stranger.pid) in reason
    assert re.search(rf"manage\.py linod\), since .*, started by \S+ \(pid {os.getpid()}\)$", reason)

    stranger.kill()
    stranger.wait()
    until(daemon, "one", "RUNNING")


def test_a_stranger_is_no_obstacle_to_other_sites(
    daemon: Daemon, runtime: Path, one: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    daemon.configure(site(one) + site(make_worker(runtime / "two", "waits")))
    daemon.start()

    until(daemon, "two", "RUNNING")
    until(daemon, "one", "BLOCKED")


def test_a_stranger_that_came_while_a_site_was_stopped_is_seen_at_its_start(
    daemon: Daemon, one: Path
) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid_of(daemon, "one")
    stop(daemon, "one")

    with started([sys.executable, "manage.py", "linod"], one) as stranger:
        assert held_by(stranger.pid) in daemon.cli("start", "one", code=1).stdout


def test_a_stranger_that_came_while_a_worker_waited_for_its_next_try_is_seen(
    daemon: Daemon, one: Path
) -> None:
    make_worker(one, "exits")
    daemon.configure(site(one, backoff_max=8))
    daemon.start()
    eventually(lambda: sites(daemon)["one"].restarts == 4, "it waits for 8 seconds", limit=60.0)
    make_worker(one, "waits")

    with started([sys.executable, "manage.py", "linod"], one) as stranger:
        blocked = until(daemon, "one", "BLOCKED")

        assert held_by(stranger.pid) in (blocked.reason or "")


@pytest.mark.root
@pytest.mark.parametrize("is_of_its_group", [False, True])
def test_only_who_has_business_there_is_in_the_way(
    daemon: Daemon, one: Path, user: pwd.struct_passwd, is_of_its_group: bool
) -> None:
    daemon.configure(site(one))
    with subprocess.Popen(
        [public_python(), "-c", "import time; time.sleep(1000)", f"{one}/manage.py", "linod"],
        cwd="/",
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[one.stat().st_gid] if is_of_its_group else [],
    ) as process:
        daemon.start()
        until(daemon, "one", "BLOCKED" if is_of_its_group else "RUNNING")
        assert f"pid {process.pid} (" in daemon.said()
        assert f"pid {process.pid} (" in daemon.cli("check", code=None).stdout
        process.kill()


def test_who_only_lists_the_jobs_is_in_nobodys_way(daemon: Daemon, one: Path) -> None:
    with started([sys.executable, "manage.py", "linod", "--list"], one):
        daemon.configure(site(one))
        daemon.start()

        until(daemon, "one", "RUNNING")


@pytest.mark.root
@pytest.mark.needs("supervisord")
def test_a_linod_under_supervisor_blocks_until_supervisor_has_gone(
    daemon: Daemon, runtime: Path, one: Path
) -> None:
    config = runtime / "supervisor.conf"
    config.write_text(SUPERVISOR.format(here=runtime, python=sys.executable, project=one))
    with subprocess.Popen(
        ["supervisord", "--configuration", str(config)], stdout=subprocess.DEVNULL
    ) as manager:
        try:
            log = runtime / "sv.log"
            eventually(lambda: log.exists() and "RUNNING state" in log.read_text(), "it runs", limit=30.0)
            daemon.configure(site(one))
            daemon.start()
            by = f"started by supervisord (pid {manager.pid})"
            first = str(until(daemon, "one", "BLOCKED").reason)
            assert by in first

            os.kill(int(first.split("pid ")[1].split()[0]), signal.SIGKILL)
            second = eventually(
                lambda: str(now) if (now := sites(daemon)["one"].reason) not in (None, first) else "",
                "its successor is seen",
            )
            assert by in second
        finally:
            manager.terminate()
    until(daemon, "one", "RUNNING")


def test_a_site_that_is_blocked_does_not_show_what_an_earlier_worker_said(
    daemon: Daemon, runtime: Path
) -> None:
    project = make_worker(runtime / "one", "waits")
    daemon.configure(site(project))
    daemon.start()
    daemon.until("one", "RUNNING")
    daemon.cli("stop", "one")
    assert "ready" in daemon.log("one")

    with foreign_linod(project):
        started = daemon.cli("start", "one", code=1)

    assert "BLOCKED" in started.stdout
    assert "ready" not in started.stdout
