"""Jobs and loops that hang under a real daemon: their stacks are written, and the worker is another one."""

import os
import signal
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site
from tests.real.jobs_asked import attention, job
from tests.real.worker_sites import site

HEAD = """\
import ctypes
import socket
import time
from pathlib import Path

from linodmgr.linod import schedule_often

HERE = Path(__file__).parent.parent


def asked_for(what):
    try:
        (HERE / what).unlink()
    except FileNotFoundError:
        return False
    return True


@schedule_often(every=1)
def steady():
    pass


def fetch():
    {how}


@schedule_often(every=1)
def bad():
    if asked_for("bad"):
        fetch()
"""
WAYS = {
    "sleep": "time.sleep(1000)",
    "socket": "ends = socket.socketpair(); ends[0].recv(1)",
    "holding the interpreter": "ctypes.PyDLL(None).sleep(1000)",
}
IN_FETCH = HEAD[: HEAD.index("{how}")].count("\n") + 1  # the line


def begin(daemon: Daemon, runtime: Path, how: str, keys: str = "", **more: object) -> Path:
    project = make_site(runtime / "noi", HEAD.format(how=WAYS[how]))
    daemon.configure(site(project, good_run=600, **more) + keys)
    daemon.start()
    job(daemon, "noi", "bad", outcome="ok")
    (project / "bad").touch()
    return project


@pytest.mark.parametrize("how", WAYS)
def test_a_job_that_hangs_is_named_with_its_place_and_the_others_go_on(
    how: str, daemon: Daemon, runtime: Path
) -> None:
    begin(daemon, runtime, how, job_timeout=2)

    eventually(lambda: daemon.site("noi")["restarts"] == 1, "it was started again")
    log = daemon.log("noi")
    assert "most recent call first" in log
    assert f'tasks/jobs.py", line {IN_FETCH} in fetch' in log
    failed = daemon.cli("history", "noi", "bad", "--failed").stdout
    assert "hung" in failed
    assert f"tasks/jobs.py:{IN_FETCH}" in failed
    assert f"tasks/jobs.py:{IN_FETCH}" in daemon.said()
    job(daemon, "noi", "steady", state="ok")
    job(daemon, "noi", "bad", state="ok")  # not asked for again


def test_a_hang_is_shown_by_status_and_list_until_the_job_has_gone_well(
    daemon: Daemon, runtime: Path
) -> None:
    always = HEAD.format(how="time.sleep(1000)").replace("every=1)\ndef bad", "every=5)\ndef bad")
    project = make_site(runtime / "noi", always.replace('if asked_for("bad"):', "if True:"))
    daemon.configure(site(project, job_timeout=1))
    daemon.start()

    seen = job(daemon, "noi", "bad", state="FAILED")

    assert "hung" in seen["error"]
    assert f"tasks/jobs.py:{IN_FETCH}" in seen["error"]
    assert "hung" in attention(daemon, "noi")
    assert "hung" in daemon.cli("status").stdout


def test_a_job_may_have_a_timeout_of_its_own(daemon: Daemon, runtime: Path) -> None:
    begin(daemon, runtime, "sleep", "[site.jobs.bad]\njob_timeout = 2\n", job_timeout="1h")

    eventually(lambda: daemon.site("noi")["restarts"] == 1, "it was started again")


def test_a_job_without_a_timeout_may_take_its_time(daemon: Daemon, runtime: Path) -> None:
    project = begin(daemon, runtime, "sleep", watchdog=1)

    seen = job(daemon, "noi", "bad", state="running")

    eventually(lambda: not (project / "bad").exists(), "it has begun")
    running = seen["running_since"]
    job(daemon, "noi", "steady", state="late", limit=60)
    assert job(daemon, "noi", "bad", state="running")["running_since"] == running
    assert daemon.site("noi")["restarts"] == 0
    daemon.cli("stop", "noi")


def test_a_loop_that_stands_still_is_noticed(daemon: Daemon, runtime: Path) -> None:
    project = make_site(runtime / "noi", HEAD.format(how="pass").replace("every=1", "every=1000"))
    daemon.configure(site(project, watchdog=3, good_run=600))
    daemon.start()
    job(daemon, "noi", "bad", state="ok")
    pid = daemon.site("noi")["pid"]

    os.kill(pid, signal.SIGSTOP)

    eventually(lambda: daemon.site("noi")["restarts"] == 1, "it was started again")
    assert daemon.until("noi", "RUNNING")["pid"] != pid
    assert "its loop hung for 3 s" in daemon.said()
    assert attention(daemon, "noi")


def test_a_loop_that_only_waits_is_left_alone(daemon: Daemon, runtime: Path) -> None:
    project = make_site(runtime / "noi", HEAD.format(how="pass").replace("every=1", "every=1000"))
    other = make_site(runtime / "clock", HEAD.format(how="pass"))
    daemon.configure(site(project, watchdog=1) + site(other))
    daemon.start()
    job(daemon, "noi", "bad", state="ok")

    before = job(daemon, "clock", "steady", outcome="ok")["last_run"]
    for _ in range(5):  # five times at least a second
        before = job(daemon, "clock", "steady", last_run=lambda at, last=before: at > last)["last_run"]

    assert daemon.site("noi")["restarts"] == 0
