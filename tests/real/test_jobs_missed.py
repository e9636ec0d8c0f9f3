"""Jobs whose time comes while no worker runs, and clocks that are set: plain Django sites, a real daemon."""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site
from tests.real.fake_clock import Clock
from tests.real.jobs_asked import attention, job
from tests.real.worker_sites import site

pytestmark = pytest.mark.needs("faketime")

ZONE = ZoneInfo("Europe/Brussels")
JOBS = """\
import os
from pathlib import Path

import schedule

from linodmgr.linod import schedule_daily, schedule_often

HERE = Path(__file__).parent.parent


def note(what):
    with open(HERE / what, "a") as file:
        print(os.getpid(), file=file)


@schedule_daily(at="{at}")
def checkdata():
    note("checkdata")
    if (HERE / "die").exists():
        os._exit(1)


@schedule_often(every=3600)
def hourly():
    note("hourly")


@schedule_often(every=1)
def often():
    note("often")
"""


def at_in(minutes: float) -> str:
    """Return the time of day in Brussels that comes in so many minutes."""
    return f"{datetime.now(ZONE) + timedelta(minutes=minutes):%H:%M}"


class Stage:
    """A site of a daemon that looks at a clock of ours."""

    def __init__(self, daemon: Daemon, runtime: Path, minutes: float = 60, **keys: object) -> None:
        self.daemon = daemon
        self.clock = Clock(runtime)
        self.project = make_site(runtime / "noi", JOBS.format(at=at_in(minutes)))
        daemon.configure(site(self.project, environment=self.clock.environment, **keys))
        self.start()
        job(daemon, "noi", "often", outcome="ok")

    def start(self) -> None:
        """Start the daemon, as at boot."""
        self.daemon.start(environment=self.clock.environment)

    def reboot(self, minutes: float) -> None:
        """Have the machine off until the clock shows so many minutes more than it really is."""
        assert self.daemon.stop() == 0
        self.clock.shift(60 * minutes)
        self.start()

    def runs(self, name: str) -> int:
        """Return how often a job was begun."""
        path = self.project / name
        return len(path.read_text().split()) if path.exists() else 0


def test_a_daily_job_whose_time_has_passed_is_caught_up_once(daemon: Daemon, runtime: Path) -> None:
    stage = Stage(daemon, runtime, minutes=60)
    assert stage.runs("checkdata") == 0

    stage.reboot(70)

    seen = job(daemon, "noi", "checkdata", outcome="ok", caught_up=True)
    assert seen["state"] == "ok"
    stage.reboot(75)
    job(daemon, "noi", "often", outcome="ok", last_run=lambda at: at > seen["last_run"])
    assert stage.runs("checkdata") == 1


def test_without_catching_up_a_missed_time_is_only_told(daemon: Daemon, runtime: Path) -> None:
    stage = Stage(daemon, runtime, minutes=60, catch_up=False)

    stage.reboot(70)

    job(daemon, "noi", "checkdata", state="MISSED")
    assert "checkdata MISSED" in attention(daemon, "noi")
    assert stage.runs("checkdata") == 0


def test_a_run_that_crashed_in_the_middle_is_not_done_again_for_the_same_time(
    daemon: Daemon, runtime: Path
) -> None:
    stage = Stage(daemon, runtime, minutes=60)
    (stage.project / "die").touch()

    stage.clock.shift(60 * 60)

    eventually(lambda: stage.runs("checkdata") == 1, "it has begun", limit=90)
    eventually(lambda: daemon.site("noi")["restarts"] == 1, "it was started again")
    before = job(daemon, "noi", "often", outcome="ok")["last_run"]
    job(daemon, "noi", "often", last_run=lambda at: at > before)
    stage.reboot(65)
    job(daemon, "noi", "often", outcome="ok", last_run=lambda at: at > before)
    assert stage.runs("checkdata") == 1
    assert job(daemon, "noi", "checkdata")["state"] == "FAILED"


def test_an_hourly_job_keeps_its_rhythm_over_a_restart(daemon: Daemon, runtime: Path) -> None:
    stage = Stage(daemon, runtime)
    stage.reboot(61)
    first = job(daemon, "noi", "hourly", outcome="ok", limit=90)
    assert stage.runs("hourly") == 1

    stage.reboot(61 + 50)

    after = job(daemon, "noi", "hourly", live=True)
    due = datetime.fromisoformat(after["next_run"]) - datetime.fromisoformat(first["last_run"])
    assert timedelta(minutes=59) < due < timedelta(minutes=61)
    assert stage.runs("hourly") == 1


def test_a_clock_that_is_set_back_by_hours_stops_no_job(daemon: Daemon, runtime: Path) -> None:
    stage = Stage(daemon, runtime)

    stage.clock.shift(-3 * 3600)

    before = stage.runs("often")
    eventually(lambda: stage.runs("often") >= before + 5, "it goes on", limit=90)
    assert stage.runs("hourly") == 0


def test_a_clock_that_is_set_forward_makes_a_daily_job_due_and_no_interval(
    daemon: Daemon, runtime: Path
) -> None:
    stage = Stage(daemon, runtime, minutes=60)

    stage.clock.shift(2 * 3600)

    job(daemon, "noi", "checkdata", outcome="ok", limit=90)
    assert stage.runs("checkdata") == 1
    assert stage.runs("hourly") == 0
