"""What is known of the jobs of real Lino sites from PyPI, under a real daemon."""

import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.jobs_asked import attention, job
from tests.real.lino_sites import make_lino_site
from tests.real.worker_sites import site

pytestmark = pytest.mark.lino
LOADS = 90.0  # seconds that Lino may need to start on a busy machine
KINDS = ["21", "26"]


def begin(kind: str, daemon: Daemon, runtime: Path, **keys: object) -> Path:
    """Return the project of a Lino site that has run its jobs."""
    project = make_lino_site(kind, runtime / "lino")
    daemon.configure(site(project, **keys))
    daemon.start()
    daemon.until("lino", "RUNNING", LOADS)
    job(daemon, "lino", "write_a_line", LOADS, outcome="ok")
    return project


def history(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    answer = daemon.cli("history", "lino", name, "--limit", "0", "--json").stdout
    runs: list[dict[str, Any]] = json.loads(answer)["runs"]
    return runs


@pytest.mark.parametrize("kind", KINDS)
def test_jobs_of_lino_are_known_while_they_run(kind: str, daemon: Daemon, runtime: Path) -> None:
    begin(kind, daemon, runtime)

    seen = job(daemon, "lino", "write_a_line", outcome="ok", next_run=lambda at: at is not None)

    assert seen["state"] in ("ok", "running")
    assert seen["schedule"] in ("every second", "every 1 second")
    assert 0 <= seen["duration"] < 10
    plain = daemon.cli("list", "lino", "--plain").stdout
    [line] = [line for line in plain.splitlines() if "write_a_line()" in line]
    assert "last run: [never]" not in line
    eventually(lambda: history(daemon, "write_a_line"), "it is in the history", limit=90)


def test_a_job_of_old_lino_that_raises_fails_alone(daemon: Daemon, runtime: Path) -> None:
    project = begin("21", daemon, runtime)

    (project / "raise").touch()

    eventually(
        lambda: [
            run
            for run in history(daemon, "raise_when_asked")
            if run["error"] == "ValueError: raised as asked"
        ],
        "the failure is in the history",
    )
    job(daemon, "lino", "raise_when_asked", outcome="ok")
    assert daemon.site("lino")["restarts"] == 0
    assert "raised as asked" in daemon.log("lino")


def test_a_task_of_new_lino_that_raises_is_shown_disabled(daemon: Daemon, runtime: Path) -> None:
    project = begin("26", daemon, runtime)

    (project / "raise").touch()

    seen = job(daemon, "lino", "raise_when_asked", LOADS, state="DISABLED")
    assert "raised as asked" in seen["why"]
    assert "raised as asked" in attention(daemon, "lino")
    assert "DISABLED" in daemon.cli("list", "lino", "--failed").stdout
    assert daemon.cli("status", "--strict", code=3).returncode == 3
    assert daemon.site("lino")["restarts"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_of_lino_is_run_now(kind: str, daemon: Daemon, runtime: Path) -> None:
    begin(kind, daemon, runtime)

    done = daemon.cli("run", "lino", "write_a_line")

    assert "ok" in done.stdout
    eventually(
        lambda: [run for run in history(daemon, "write_a_line") if run["asked"]], "it was asked for", limit=90
    )


def test_a_disabled_task_of_new_lino_that_is_run_now_tells_how_it_went(daemon: Daemon, runtime: Path) -> None:
    project = begin("26", daemon, runtime)
    (project / "raise").touch()
    job(daemon, "lino", "raise_when_asked", LOADS, state="DISABLED")
    (project / "raise").touch()

    done = daemon.cli("run", "lino", "raise_when_asked", code=1)

    assert "ValueError: raised as asked" in done.stdout


def test_a_task_whose_worker_was_killed_in_the_middle_is_run_again_at_its_time(
    daemon: Daemon, runtime: Path
) -> None:
    project = begin("26", daemon, runtime)
    models = project / "ourjobs" / "models.py"
    daemon.cli("stop", "lino")
    models.write_text(models.read_text().replace('if asked_for("exit"):', HANGS))
    daemon.cli("start", "lino")
    job(daemon, "lino", "exit_when_asked", LOADS, outcome="ok")
    (project / "hang").touch()
    job(daemon, "lino", "exit_when_asked", LOADS, state="running")
    eventually(lambda: not (project / "hang").exists(), "it has begun")
    stranger = touch_a_stranger(project)

    os.kill(daemon.site("lino")["pid"], signal.SIGKILL)

    eventually(lambda: daemon.site("lino")["restarts"] == 1, "it was started again")
    job(daemon, "lino", "exit_when_asked", LOADS, outcome="ok", state="ok")
    assert "released" in daemon.log("lino")
    assert is_running(project, stranger)  # whoever runs that one, it is not ours


HANGS = """\
if asked_for("hang"):
        import time
        time.sleep(1000)
    if asked_for("exit"):"""


def touch_a_stranger(project: Path) -> int:
    """Return the key of a task that somebody else has begun to run."""
    with sqlite3.connect(project / "default.db", timeout=60) as connection:
        [[key]] = connection.execute("SELECT id FROM linod_systemtask WHERE name = 'raise_when_asked'")
        connection.execute(
            "UPDATE linod_systemtask SET last_start_time = datetime('now', '-1 minute'), "
            "last_end_time = NULL WHERE id = ?",
            (key,),
        )
    return int(key)


def is_running(project: Path, key: int) -> bool:
    with sqlite3.connect(project / "default.db", timeout=60) as connection:
        [[end]] = connection.execute("SELECT last_end_time FROM linod_systemtask WHERE id = ?", (key,))
    return end is None
