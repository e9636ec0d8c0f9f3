"""Whatever stops a worker lets the job that runs end, begins no other, and says what it waits for."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.fake_daemon import LINODMGR
from tests.real.asking import sites
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site
from tests.real.worker_sites import site

JOBS = """\
import os, time
from linodmgr.linod import schedule_often


@schedule_often(every=1)
def checkdata():
    print("begins", flush=True)
    until = time.monotonic() + 60
    while not os.path.exists("finish"):
        time.sleep(0.01)
        assert time.monotonic() < until
    print("has ended", flush=True)


@schedule_often(every=1)
def other():
    if os.path.exists("asked"):
        print("begins too late", flush=True)
"""


@pytest.fixture
def busy(daemon: Daemon, runtime: Path) -> Daemon:
    """A daemon with a site in the middle of a job."""
    daemon.configure(site(make_site(runtime / "noi", JOBS), stop_timeout=60))
    daemon.start()
    eventually(lambda: "begins" in daemon.log("noi"), "the job has begun")
    return daemon


def asked(daemon: Daemon, *arguments: str) -> "subprocess.Popen[str]":
    """Return a command that has been asked and waits for the job."""
    process = subprocess.Popen(
        [LINODMGR, "--config", str(daemon.config), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(
        lambda: re.match(r"waiting for checkdata, \d+ s of 60", sites(daemon)["noi"].reason or ""),
        "the stop waits",
    )
    (daemon.home / "noi" / "asked").touch()
    return process


def let_it_end(daemon: Daemon, *arguments: str) -> None:
    """Have a command stop the worker, then let the job end: it must be the last."""
    process = asked(daemon, *arguments)

    (daemon.home / "noi" / "finish").touch()
    _, said = process.communicate()

    assert process.returncode == 0
    first, *rest = said.splitlines()
    assert re.fullmatch(r"noi: waiting for checkdata, \d+ s of 60", first)
    assert any(re.fullmatch(r"noi: waited \d+ s for checkdata", line) for line in rest)
    assert daemon.log("noi").count("has ended") == 1
    assert "noi: STOPPING: waiting for checkdata: killed in 60 s if it is still there" in daemon.said()


def test_the_job_that_runs_may_end_and_no_other_begins(busy: Daemon, runtime: Path) -> None:
    let_it_end(busy, "stop", "noi")

    assert "begins too late" not in busy.log("noi")


def test_a_restart_and_a_reload_let_the_job_that_runs_end(busy: Daemon, runtime: Path) -> None:
    let_it_end(busy, "restart")
    busy.cli("stop")
    (runtime / "log" / "noi.log").write_text("")
    (runtime / "noi" / "finish").unlink()
    busy.cli("start")
    eventually(lambda: "begins" in busy.log("noi"), "the job has begun")

    busy.configure(site(runtime / "noi", stop_timeout=60, nice=1))
    let_it_end(busy, "reload")


def test_the_end_of_the_daemon_lets_the_job_that_runs_end(busy: Daemon) -> None:
    let_it_end(busy, "stop", "--daemon")

    assert busy.process is not None
    assert busy.process.wait() == 0


def test_now_waits_for_nothing_not_even_if_the_end_of_the_daemon_waits_already(busy: Daemon) -> None:
    patient = asked(busy, "stop", "--daemon")

    busy.cli("stop", "--daemon", "--now")

    patient.communicate()
    assert patient.returncode == 0
    assert "has ended" not in busy.log("noi")
    assert busy.process is not None
    assert busy.process.wait() == 0
