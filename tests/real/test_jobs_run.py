"""``linodmgr run``, ``list --watch`` and ``history`` with a real worker."""

import json
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site
from tests.real.jobs_asked import job
from tests.real.worker_sites import site

JOBS = """\
from linodmgr.linod import schedule_daily, schedule_often


@schedule_daily(at="20:00")
def speaks():
    print("one")
    print("two", flush=True)
    print("three")


@schedule_daily(at="20:00")
def fails():
    raise ValueError("no number")


@schedule_often(every=1)
def often():
    pass
"""


@pytest.fixture
def noi(daemon: Daemon, runtime: Path) -> Daemon:
    """A running site."""
    daemon.configure(site(make_site(runtime / "noi", JOBS)))
    daemon.start()
    job(daemon, "noi", "often", outcome="ok")
    return daemon


def test_a_job_shows_all_its_lines_and_ends_well(noi: Daemon) -> None:
    for _ in range(10):
        shown = noi.cli("run", "noi", "speaks").stdout.splitlines()
        assert shown[:-1] == ["one", "two", "three"]
        assert shown[-1].startswith("noi: speaks ok after ")


def test_a_job_that_fails_shows_its_traceback_and_ends_with_1(noi: Daemon) -> None:
    shown = noi.cli("run", "noi", "fails", code=1).stdout

    assert "Traceback (most recent call last):" in shown
    last = shown.splitlines()[-1]
    assert last.startswith("noi: fails FAILED after ")
    assert last.endswith(": ValueError: no number")
    assert job(noi, "noi", "fails", outcome="failed")["state"] == "FAILED"
    assert json.loads(noi.cli("history", "noi", "fails", "--json").stdout)["runs"][-1]["asked"] is True
    assert noi.cli("status", "--strict", code=3).stdout.splitlines()[1].endswith("ValueError: no number")


def test_an_unknown_job_is_told_with_the_ones_that_may_be_meant(noi: Daemon) -> None:
    said = noi.cli("run", "noi", "speak", code=2).stderr

    assert said == "linodmgr: cannot run 'speak' of 'noi': no such job: candidates speaks\n"


def test_who_does_not_wait_finds_the_run_in_the_history(noi: Daemon) -> None:
    assert noi.cli("run", "noi", "speaks", "--no-wait").stdout == "noi: speaks is queued\n"

    eventually(lambda: "asked for" in noi.cli("history", "noi", "speaks").stdout, "it is in the history")
