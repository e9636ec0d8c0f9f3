"""`manage.py linod` under the runner: both know how to stop, and are not in each other's way."""

import signal
from pathlib import Path

import pytest

from linodmgr.runner_protocol import Idle, Ready
from tests.real.django_sites import make_site
from tests.real.runner_harness import started

BEGINNING = """\
import multiprocessing
import pathlib
import time

from linodmgr.linod import schedule_often

def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)

"""
LONG = """
@schedule_often(every=1)
def first():
    print("first began")
    wait_for("go")
    print("first ended")
    {}

@schedule_often(every=1)
def second():
    print("second began")
"""
HAS_CHILDREN = """
def child():
    pathlib.Path("child").touch()
    wait_for("never")

@schedule_often(every=1)
def parent():
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    wait_for("child")
    process.terminate()
    process.join()
    print("child ended with", process.exitcode)
"""
FAILS = """
@schedule_often(every=1)
def first():
    print("first began")
    raise ValueError("no mail today")

@schedule_often(every=1)
def second():
    print("second began")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_the_job_that_runs_is_finished_and_no_other_is_begun(number: signal.Signals, runtime: Path) -> None:
    site = make_site(runtime / "site", BEGINNING + LONG.format("pass"))
    with started(runtime, site, stop_signal=int(number)) as runner:
        runner.begin()
        runner.prints("first began")
        runner.stop(number)
        (site / "go").touch()

        assert runner.ends() == 0, runner.text()
        assert runner.text().endswith("first began\nfirst ended\n")


def test_a_job_that_raises_during_a_stop_is_told(runtime: Path) -> None:
    site = make_site(runtime / "site", BEGINNING + LONG.format('raise ValueError("no mail today")'))
    with started(runtime, site) as runner:
        runner.begin()
        runner.prints("first began")
        runner.stop()
        (site / "go").touch()

        assert runner.ends() == 0, runner.text()
        assert "ValueError: no mail today" in runner.text()
        assert "second began" not in runner.text()


def test_a_job_that_raises_stops_nobody(runtime: Path) -> None:
    site = make_site(runtime / "site", BEGINNING + FAILS)
    with started(runtime, site) as runner:
        runner.begin()
        runner.prints("first: failed, next run")
        runner.prints("second began")
        runner.stop()
        assert runner.ends() == 0, runner.text()


def test_a_job_that_ends_the_process_is_no_rest(runtime: Path) -> None:
    site = make_site(runtime / "site", BEGINNING + LONG.format("raise SystemExit"))
    (site / "go").touch()
    with started(runtime, site) as runner:
        runner.begin()
        assert runner.ends() == 0, runner.text()
    assert [type(report) for report in runner.said if isinstance(report, (Ready, Idle))] == [Ready]


def test_a_child_of_a_job_dies_of_the_signal(runtime: Path) -> None:
    with started(runtime, make_site(runtime / "site", BEGINNING + HAS_CHILDREN)) as runner:
        runner.begin()
        runner.prints("child ended with -15")
        runner.stop()
        assert runner.ends() == 0, runner.text()
