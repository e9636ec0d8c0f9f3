"""How `manage.py linod` ends: the job that runs is finished, no other is begun."""

import signal
from pathlib import Path

import pytest

from tests.real.django_sites import make_site
from tests.real.linod_app import linod

BEGINNING = """\
import multiprocessing
import pathlib
import signal
import time

from linodmgr.linod import schedule_daily, schedule_often

def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)

def write(name, words):
    with open(name, "a") as file:
        print(words, file=file)

"""
LONG = """
@schedule_often(every=1)
def first():
    write("first", "began")
    wait_for("go")
    write("first", "ended")

@schedule_often(every=1)
def second():
    write("second", "began")
"""
FAILS_AT_THE_END = """
@schedule_often(every=1)
def first():
    write("first", "began")
    wait_for("go")
    raise ValueError("no mail today")
"""
SHORT = """
@schedule_often(every=1)
def short():
    write("done", "once")
"""
DAILY = """
@schedule_daily
def daily():
    pass
"""
HAS_CHILDREN = """
def child():
    write("child", "began")
    wait_for("never")

@schedule_often(every=1)
def parent():
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    wait_for("child")
    process.terminate()
    process.join()
    write("parent", process.exitcode)
"""
SIGNALS = [signal.SIGTERM, signal.SIGINT]


def test_who_asks_to_stop_again_and_again_is_told_that_it_went_well(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, BEGINNING + DAILY)) as running:
        running.sleeps()
        while running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)

        assert running.ends() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_an_idle_loop_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with linod(make_site(tmp_path, BEGINNING + DAILY)) as running:
        running.sleeps()
        running.process.send_signal(number)
        assert running.ends() == 0
        assert "Traceback" not in running.said()


@pytest.mark.parametrize("number", SIGNALS)
def test_the_job_that_runs_is_finished_and_no_other_is_begun(tmp_path: Path, number: signal.Signals) -> None:
    with linod(make_site(tmp_path, BEGINNING + LONG)) as running:
        running.writes("first")
        running.process.send_signal(number)
        running.process.send_signal(signal.SIGTERM)  # to ask again changes nothing
        (running.site / "go").touch()

        assert running.ends() == 0
        assert running.writes("first") == ["began", "ended"]
        assert not (running.site / "second").exists()
        assert "Traceback" not in running.said()


def test_a_job_that_raises_after_the_stop_is_logged(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, BEGINNING + FAILS_AT_THE_END)) as running:
        running.writes("first")
        running.process.send_signal(signal.SIGTERM)
        (running.site / "go").touch()

        assert running.ends() == 0
        assert running.said().count("ValueError: no mail today") == 1


def test_a_second_ctrl_c_ends_the_job_too(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, BEGINNING + LONG)) as running:
        running.writes("first")
        running.process.send_signal(signal.SIGINT)
        running.gives_back(signal.SIGINT)
        running.process.send_signal(signal.SIGINT)

        assert running.ends() == -signal.SIGINT
        assert running.writes("first") == ["began"]


def test_an_ignored_ctrl_c_stays_ignored(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, BEGINNING + SHORT), "--ignore-signal=INT") as running:
        done = len(running.writes("done"))
        running.process.send_signal(signal.SIGINT)
        running.writes("done", done + 2)
        running.process.send_signal(signal.SIGTERM)
        assert running.ends() == 0


def test_a_child_of_a_job_dies_of_the_signal(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, BEGINNING + HAS_CHILDREN)) as running:
        assert running.writes("parent")[0] == str(-signal.SIGTERM)
        assert running.process.poll() is None
