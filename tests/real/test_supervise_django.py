"""Plain Django sites under a real daemon."""

import os
import signal
from pathlib import Path

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site
from tests.real.worker_sites import site

WRITES = """\
from pathlib import Path

from linodmgr.linod import schedule_often

@schedule_often(every=1)
def write():
    with open(Path(__file__).parent.parent / "written", "a") as file:
        file.write("a line\\n")
"""
EXITS = """\
import sys

from linodmgr.linod import schedule_often

@schedule_often(every=1)
def leave():
    sys.exit()
"""


def test_a_site_runs_its_jobs_with_its_umask(daemon: Daemon, runtime: Path) -> None:
    project = make_site(runtime / "one", WRITES)
    daemon.configure(site(project, umask="027"))
    daemon.start()

    assert daemon.until("one", "RUNNING")["goal"] == "UP"
    eventually((project / "written").exists, "the job has written")
    assert (project / "written").stat().st_mode & 0o777 == 0o640
    assert daemon.cli("status").returncode == 0


def test_a_worker_that_is_killed_comes_back(daemon: Daemon, runtime: Path) -> None:
    project = make_site(runtime / "one", WRITES)
    daemon.configure(site(project))
    daemon.start()
    before = daemon.until("one", "RUNNING")

    os.kill(before["pid"], signal.SIGKILL)

    after = eventually(
        lambda: (now := daemon.site("one"))["state"] == "RUNNING" and now["pid"] != before["pid"] and now,
        "another process runs",
        limit=30,
    )
    assert after["restarts"] == 1
    (project / "written").unlink(missing_ok=True)
    eventually((project / "written").exists, "the job writes again")


def test_a_site_that_does_not_use_linod_is_idle(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_site(runtime / "one", WRITES, use_linod=False)))
    daemon.start()

    seen = daemon.until("one", "IDLE")
    assert (seen["pid"], seen["reason"]) == (None, "does not use linod")
    assert daemon.cli("status").returncode == 0


def test_a_site_without_jobs_is_idle(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_site(runtime / "one", "")))
    daemon.start()

    assert daemon.until("one", "IDLE")["reason"] == "no jobs"


def test_a_job_that_calls_sys_exit_is_a_death(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_site(runtime / "one", EXITS), good_run=60))
    daemon.start()

    seen = daemon.until("one", "BACKOFF")
    assert "0" in seen["reason"]
    eventually(lambda: daemon.site("one")["restarts"] >= 2, "it is started again and again", limit=30)


def test_a_site_that_cannot_be_imported_is_tried_again_and_shows_why(daemon: Daemon, runtime: Path) -> None:
    broken = "raise RuntimeError('the settings are broken')\n"
    daemon.configure(site(make_site(runtime / "one", WRITES, settings=broken)))
    daemon.start()

    seen = daemon.until("one", "BACKOFF")
    assert "1" in seen["reason"]
    assert "the settings are broken" in daemon.log("one")
    assert daemon.cli("status", code=3).stdout.count("BACKOFF") <= 1
    started = daemon.cli("start", "one", code=1)
    assert "the settings are broken" in started.stdout
