"""The loop of `manage.py linod`: what a job may do to itself and to others."""

import time
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.real.django_sites import make_site
from tests.real.linod_app import linod

BEGINNING = """\
import os
import signal
import sys

import schedule
from django.db import connection

from linodmgr.linod import schedule_daily, schedule_often

def write(name, *words):
    with open(name, "a") as file:
        print(*words, file=file)

"""
FAILS = """
@schedule_often(every=1)
def first():
    write("first", "began")
    raise ValueError("no mail today")

@schedule_often(every=1)
def second():
    write("second", "ran")
"""
FAILS_ONCE_AN_HOUR = """
from datetime import datetime

def hourly():
    write("hourly", "began")
    raise ValueError("no mail today")

schedule.every().hour.do(hourly).next_run = datetime.now()

@schedule_often(every=1)
def second():
    write("second", "ran")
"""
DAILY = """
@schedule_daily
def daily():
    pass
"""
ENDS = """
@schedule_often(every=1)
def leave():
    write("left", "now")
    {}

@schedule_often(every=1)
def other():
    write("other", "ran")
"""
FORKS = """
@schedule_often(every=1)
def fork():
    child = os.fork()
    if not child:
        {}
    else:
        write("parents", os.getpid(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
CONNECTS = """
@schedule_often(every=1)
def connect():
    write("connected", connection.connection is not None, len(connection.queries))
    with connection.cursor() as cursor:
        cursor.execute("select 1")
"""
SPOILS = """
@schedule_often(every=1)
def spoil():
    write("spoilt", connection.connection is not None)
    connection.set_autocommit(False)
"""
KEEPS = 'DATABASES["default"]["CONN_MAX_AGE"] = {}\nDEBUG = True\n'


def test_a_job_that_raises_is_logged_and_stops_nobody(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, BEGINNING + FAILS)) as running:
        running.writes("first", 2)
        running.writes("second", 2)

        said = running.said()
        assert "first: failed, next run 2" in said
        assert "Traceback (most recent call last):" in said
        assert "ValueError: no mail today" in said
        assert running.process.poll() is None


def test_a_job_that_raised_comes_again_at_its_next_regular_time(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, BEGINNING + FAILS_ONCE_AN_HOUR)) as running:
        running.writes("second", 3)
        assert running.writes("hourly") == ["began"]


@pytest.mark.parametrize(
    ("end", "status"),
    [("sys.exit(3)", 3), ("sys.exit()", 0), ("raise KeyboardInterrupt", -2), ("os._exit(4)", 4)],
)
def test_a_job_that_ends_the_process_ends_it(tmp_path: Path, end: str, status: int) -> None:
    with linod(make_site(tmp_path, BEGINNING + ENDS.format(end))) as running:
        assert running.ends() == status
        assert running.writes("left") == ["now"]
        assert not (running.site / "other").exists()


@pytest.mark.parametrize(("end", "status"), [("return", 0), ("sys.exit(3)", 3), ("raise ValueError", 1)])
def test_a_child_that_a_job_forked_does_not_go_on_as_a_second_loop(
    tmp_path: Path, end: str, status: int
) -> None:
    with linod(make_site(tmp_path, BEGINNING + FORKS.format(end))) as running:
        assert set(running.writes("parents", 2)) == {f"{running.process.pid} {status}"}


def test_an_idle_loop_does_not_wake_each_second(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, BEGINNING + DAILY)) as running:
        running.sleeps()
        before, later = running.switches(), time.monotonic() + 3

        eventually(lambda: time.monotonic() > later, "three seconds are over")

        assert running.switches() - before <= 1  # it may have been about to go to sleep


@pytest.mark.parametrize(("max_age", "kept"), [("0", "False"), ("600", "True"), ("None", "True")])
def test_connections_live_as_long_as_between_requests(tmp_path: Path, max_age: str, kept: str) -> None:
    with linod(make_site(tmp_path, BEGINNING + CONNECTS, settings=KEEPS.format(max_age))) as running:
        first, *later = running.writes("connected", 3)
    assert first == "False 0"
    assert set(later) == {f"{kept} 0"}, "no query of an earlier run is kept, though DEBUG is on"


def test_a_connection_that_a_job_left_unusable_is_renewed(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, BEGINNING + SPOILS, settings=KEEPS.format(None))) as running:
        assert set(running.writes("spoilt", 3)) == {"False"}
