"""Real Lino sites from PyPI under a real daemon."""

import os
import pwd
import signal
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.lino_sites import make_lino_site
from tests.real.worker_sites import site

pytestmark = pytest.mark.lino
LOADS = 90.0  # seconds that Lino may need to start on a busy machine


def lines(project: Path) -> list[str]:
    """Return what the job has written: one process id per run."""
    written = project / "written"
    return written.read_text().splitlines() if written.exists() else []


def writes(project: Path, pid: int) -> None:
    """Wait until a job has run in the process ``pid``."""
    eventually(lambda: str(pid) in lines(project), f"a job has run in process {pid}", limit=LOADS)


@pytest.mark.parametrize("kind", ["21", "26"])
def test_a_lino_site_runs_its_jobs_and_comes_back_when_killed(
    kind: str, daemon: Daemon, runtime: Path
) -> None:
    project = make_lino_site(kind, runtime / "lino")
    daemon.configure(site(project, umask="007"))
    daemon.start()
    before = daemon.until("lino", "RUNNING", LOADS)
    writes(project, before["pid"])
    assert (project / "written").stat().st_mode & 0o777 == 0o660

    os.kill(before["pid"], signal.SIGKILL)

    eventually(lambda: daemon.site("lino")["pid"] not in (None, before["pid"]), "there is another process")
    after = daemon.until("lino", "RUNNING", LOADS)
    assert after["restarts"] == 1


@pytest.mark.parametrize("kind", ["21", "26"])
def test_a_job_of_lino_that_calls_sys_exit_is_a_death(kind: str, daemon: Daemon, runtime: Path) -> None:
    project = make_lino_site(kind, runtime / "lino")
    daemon.configure(site(project, good_run=600))
    daemon.start()
    pid = daemon.until("lino", "RUNNING", LOADS)["pid"]
    writes(project, pid)

    (project / "exit").touch()

    eventually(lambda: daemon.site("lino")["restarts"] == 1, "it was started again", limit=LOADS)
    again = daemon.until("lino", "RUNNING", LOADS)
    assert again["pid"] != pid


def test_without_isolation_a_job_of_old_lino_that_raises_ends_the_worker_which_comes_back(
    daemon: Daemon, runtime: Path
) -> None:
    project = make_lino_site("21", runtime / "lino")
    daemon.configure(site(project, isolate_jobs=False))
    daemon.start()
    pid = daemon.until("lino", "RUNNING", LOADS)["pid"]
    writes(project, pid)

    (project / "raise").touch()

    eventually(lambda: daemon.site("lino")["restarts"] == 1, "it was started again", limit=LOADS)
    assert "raised as asked" in daemon.log("lino")
    daemon.until("lino", "RUNNING", LOADS)


@pytest.mark.parametrize("kind", ["21", "26"])
def test_lino_stops_in_order(kind: str, daemon: Daemon, runtime: Path) -> None:
    project = make_lino_site(kind, runtime / "lino")
    daemon.configure(site(project, stop_timeout=60))
    daemon.start()
    writes(project, daemon.until("lino", "RUNNING", LOADS)["pid"])

    stopped = daemon.cli("stop", "lino")

    assert "STOPPED" in stopped.stdout
    assert "SIGKILL" not in daemon.said()
    assert "Traceback" not in daemon.log("lino")


@pytest.mark.needs("redis-server")
@pytest.mark.usefixtures("redis")
def test_lino_with_channels_is_supervised(daemon: Daemon, runtime: Path) -> None:
    project = make_lino_site("25-channels", runtime / "lino")
    daemon.configure(site(project))
    daemon.start()
    before = daemon.until("lino", "RUNNING", LOADS)

    os.kill(before["pid"], signal.SIGKILL)

    eventually(lambda: daemon.site("lino")["pid"] not in (None, before["pid"]), "there is another process")
    daemon.until("lino", "RUNNING", LOADS)
    assert "STOPPED" in daemon.cli("stop", "lino").stdout


@pytest.mark.root
def test_an_unmodified_lino_site_of_another_user_runs(
    daemon: Daemon, runtime: Path, user: pwd.struct_passwd
) -> None:
    project = make_lino_site("21", runtime / "lino", user.pw_name)
    daemon.configure(site(project, user=user.pw_name))
    daemon.start()
    writes(project, daemon.until("lino", "RUNNING", LOADS)["pid"])

    seen = (project / "written").stat()
    assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o777) == (user.pw_uid, user.pw_gid, 0o664)
