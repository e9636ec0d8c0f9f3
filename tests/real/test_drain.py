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


@pytest.mark.parametrize(
    "arguments", [["stop", "noi"], ["restart"], ["stop", "--daemon"], ["reload"]], ids=" ".join
)
def test_the_job_that_runs_may_end(busy: Daemon, runtime: Path, arguments: list[str]) -> None:
    if arguments == ["reload"]:
        busy.configure(site(runtime / "noi", stop_timeout=60, nice=1))
    process = asked(busy, *arguments)

    (runtime / "noi" / "finish").touch()
    _, said = process.communicate()

    assert process.returncode == 0
    first, *rest = said.splitlines()
    assert re.fullmatch(r"noi: waiting for checkdata, \d+ s of 60", first)
    assert any(re.fullmatch(r"noi: waited \d+ s for checkdata", line) for line in rest)
    log = busy.log("noi")
    assert "has ended" in log
    assert "begins too late" not in log.partition("has ended")[0]
    if arguments[-1] == "--daemon":
        assert busy.process is not None
        assert busy.process.wait() == 0


@pytest.mark.parametrize("arguments", [["stop", "noi"], ["stop", "--daemon"]], ids=" ".join)
def test_now_waits_for_nothing_not_even_if_a_stop_waits_already(busy: Daemon, arguments: list[str]) -> None:
    patient = asked(busy, *arguments)

    busy.cli(*arguments, "--now")

    patient.communicate()
    assert patient.returncode == 0
    assert "has ended" not in busy.log("noi")
    if arguments[-1] == "--daemon":
        assert busy.process is not None
        assert busy.process.wait() == 0
