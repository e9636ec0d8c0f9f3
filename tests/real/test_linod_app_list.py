"""What `manage.py linod` prints, byte for byte, and where it finds the jobs."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.real.django_sites import make_site
from tests.real.linod_app import linod, manage

JOBS = """\
import schedule

from linodmgr.linod import schedule_daily, schedule_often

@schedule_daily
def checksummaries():
    pass

@schedule_daily(at="04:30:15")
def cleanup():
    pass

@schedule_often(every=10)
def send_pending_emails_often():
    pass

@schedule_often
def read_inbox():
    pass

def greet(name, loudly):
    pass

schedule.every(2).hours.do(greet, "world", loudly=True)
"""
TEXT = """\
5 scheduled jobs:
[1] Every 1 day at 20:00:00 do checksummaries() (last run: [never], next run: DAY 20:00:00)
[2] Every 1 day at 04:30:15 do cleanup() (last run: [never], next run: DAY 04:30:15)
[3] Every 10 seconds do send_pending_emails_often() (last run: [never], next run: DAY TIME)
[4] Every 10 seconds do read_inbox() (last run: [never], next run: DAY TIME)
[5] Every 2 hours do greet('world', loudly=True) (last run: [never], next run: DAY TIME)
"""
LISTED = re.escape(TEXT).replace("DAY", r"\d{4}-\d\d-\d\d").replace("TIME", r"\d\d:\d\d:\d\d")
OFF = "This site does not use linod.\n"
WRONG = """\
from linodmgr.linod import schedule_daily

@schedule_daily(at="25:00")
def report():
    pass
"""
RAISES = """\
import linodmgr.nowhere
"""
LEAVES_A_TRACE = """\
from pathlib import Path

from linodmgr.linod import schedule_often

Path("imported").touch()

@schedule_often
def read_inbox():
    pass
"""
LINO = """\
class Site:
    use_linod = {}

SITE = Site()
"""


@pytest.mark.parametrize("option", ["--list", "-l"])
def test_the_list_is_that_of_lino(tmp_path: Path, option: str) -> None:
    done = manage(make_site(tmp_path, JOBS), "linod", option)

    assert re.fullmatch(LISTED, done.stdout), done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_without_list_the_same_is_printed_before_the_loop_begins(tmp_path: Path) -> None:
    with linod(make_site(tmp_path, JOBS)) as running:
        running.sleeps()
        assert re.fullmatch(LISTED, running.said())


@pytest.mark.parametrize("arguments", [("linod",), ("linod", "--list")])
@pytest.mark.parametrize("use_linod", [False, None])
def test_a_site_does_not_use_linod_unless_it_says_so(
    tmp_path: Path, use_linod: bool | None, arguments: tuple[str, ...]
) -> None:
    done = manage(make_site(tmp_path, JOBS, use_linod), *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, OFF, "")


@pytest.mark.parametrize("arguments", [("linod",), ("linod", "--list")])
def test_a_site_without_jobs_says_so_and_ends(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = manage(make_site(tmp_path, ""), *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, "This site has no scheduled jobs.\n", "")


@pytest.mark.parametrize(("of_lino", "use_linod"), [(True, None), (True, False), (False, True)])
def test_what_the_site_of_lino_says_counts(tmp_path: Path, of_lino: bool, use_linod: bool | None) -> None:
    done = manage(make_site(tmp_path, JOBS, use_linod, settings=LINO.format(of_lino)), "linod", "--list")
    assert (done.stdout == OFF) is not of_lino


def test_a_site_of_lino_that_says_nothing_of_linod_has_the_setting(tmp_path: Path) -> None:
    done = manage(make_site(tmp_path, JOBS, True, settings="SITE = object()\n"), "linod", "--list")
    assert re.fullmatch(LISTED, done.stdout)


def test_times_are_local_to_the_site(tmp_path: Path) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    site = make_site(tmp_path, JOBS, time_zone=zone.key)

    before = datetime.now(zone).replace(tzinfo=None, microsecond=0)
    listed = manage(site, "linod", "--list").stdout
    after = datetime.now(zone).replace(tzinfo=None)

    found = re.search(r"do read_inbox.* next run: (.*)\)", listed)
    assert found is not None
    assert before <= datetime.fromisoformat(found[1]) - timedelta(seconds=10) <= after


def test_what_a_jobs_module_raises_is_not_hidden(tmp_path: Path) -> None:
    done = manage(make_site(tmp_path, RAISES), "linod", "--list")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No module named 'linodmgr.nowhere'" in done.stderr


def test_a_wrong_time_is_told_with_the_name_of_the_job(tmp_path: Path) -> None:
    done = manage(make_site(tmp_path, WRONG), "linod", "--list")
    assert (done.returncode, done.stdout) == (1, "")
    words = "cannot schedule tasks.jobs.report: at must be a time of day like"
    assert f'{words} "20:00" or "20:00:30", got \'25:00\'\n' in done.stderr


def test_other_commands_do_not_import_the_jobs(tmp_path: Path) -> None:
    site = make_site(tmp_path, LEAVES_A_TRACE)

    assert manage(site, "check").returncode == 0
    assert not (site / "imported").exists()
    assert manage(site, "linod", "--list").returncode == 0
    assert (site / "imported").exists()
