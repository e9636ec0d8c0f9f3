"""Jobs that fail in every way, in plain Django sites under a real daemon: each fails alone, and is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site
from tests.real.jobs_asked import attention, job, jobs
from tests.real.worker_sites import site

HEAD = """\
import os
from pathlib import Path

from linodmgr.linod import schedule_daily, schedule_often

HERE = Path(__file__).parent.parent


def asked_for(what):
    try:
        (HERE / what).unlink()
    except FileNotFoundError:
        return False
    return True


@schedule_often(every=1)
def steady():
    with open(HERE / "steady", "a") as file:
        print(os.getpid(), file=file)


@schedule_often(every=1)
def bad():
    if asked_for("bad"):
"""
BODIES = {
    "raises": "raise OSError('no route to the mail server')",
    "exits": "raise SystemExit(0)",
    "exits_at_once": "os._exit(3)",
    "interrupts": "raise KeyboardInterrupt",
    "closes_all": "os.closerange(3, 256)",
    "prints_much": "print('x' * 10_000_000)",
    "forks": "os.fork() or os.write(2, b'child')",
    "is_killed": "os.kill(os.getpid(), 9)",
}


def make(directory: Path, body: str) -> Path:
    return make_site(directory, HEAD + f"        {body}\n")


def begin(daemon: Daemon, runtime: Path, how: str, **keys: object) -> Path:
    """Return the project of a running site whose job ``bad`` has done what it must not."""
    project = make(runtime / "noi", BODIES[how])
    daemon.configure(site(project, **keys))
    daemon.start()
    job(daemon, "noi", "steady", outcome="ok")
    job(daemon, "noi", "bad", outcome="ok")
    (project / "bad").touch()
    return project


def pids(project: Path) -> list[str]:
    return (project / "steady").read_text().split()


def test_a_job_that_raises_is_told_and_the_worker_goes_on(daemon: Daemon, runtime: Path) -> None:
    begin(daemon, runtime, "raises")

    eventually(lambda: "no route to the mail server" in daemon.log("noi"), "it is in the log")
    told = [run["error"] for run in history(daemon) if run["name"] == "bad" and run["outcome"] == "failed"]
    assert told == ["OSError: no route to the mail server"]
    assert "Traceback" in daemon.log("noi")
    job(daemon, "noi", "bad", outcome="ok", state="ok")  # it came again
    assert daemon.site("noi")["restarts"] == 0


def test_without_isolation_a_job_that_raises_ends_the_worker_as_ever(daemon: Daemon, runtime: Path) -> None:
    begin(daemon, runtime, "raises", isolate_jobs=False)

    eventually(lambda: daemon.site("noi")["restarts"] == 1, "it was started again")
    [failed] = [run for run in history(daemon) if run["outcome"] == "failed"]
    assert (failed["name"], failed["error"]) == ("bad", "OSError: no route to the mail server")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exits", "SystemExit"),
        ("exits_at_once", "exited with status 3"),
        ("interrupts", "KeyboardInterrupt"),
        ("is_killed", "killed by SIGKILL"),
    ],
)
def test_a_job_that_ends_its_worker_is_named_in_the_history(
    how: str, words: str, daemon: Daemon, runtime: Path
) -> None:
    begin(daemon, runtime, how)

    eventually(lambda: daemon.site("noi")["restarts"] == 1, "it was started again")
    failed = eventually(
        lambda: [run for run in history(daemon) if run["outcome"] == "failed"], "the run is in the history"
    )
    assert [run["name"] for run in failed] == ["bad"]
    assert words in failed[0]["error"]
    job(daemon, "noi", "bad", state="ok")


@pytest.mark.parametrize("how", ["closes_all", "prints_much", "forks"])
def test_a_job_that_does_odd_things_goes_on_to_be_told(how: str, daemon: Daemon, runtime: Path) -> None:
    project = begin(daemon, runtime, how)
    eventually(lambda: not (project / "bad").exists(), "it was done")
    before = jobs(daemon, "noi")["bad"]["last_run"]

    job(daemon, "noi", "bad", last_run=lambda at: at > before, outcome="ok")
    job(daemon, "noi", "steady", outcome="ok")

    assert daemon.site("noi")["restarts"] == 0
    assert len(set(pids(project))) == 1


def test_a_failed_job_is_shown_until_it_has_gone_well(daemon: Daemon, runtime: Path) -> None:
    project = make_site(runtime / "noi", HEAD + "        pass\n    raise ValueError('always')\n")
    daemon.configure(site(project))
    daemon.start()

    seen = job(daemon, "noi", "bad", state="FAILED")

    assert (seen["outcome"], seen["error"]) == ("failed", "ValueError: always")
    assert "bad FAILED" in attention(daemon, "noi")
    assert daemon.cli("status").returncode == 0
    assert daemon.cli("status", "--strict", code=3).returncode == 3
    assert "ValueError: always" in daemon.cli("list", "noi", "--failed").stdout
    assert "steady" not in daemon.cli("list", "noi", "--failed").stdout


def test_a_site_of_a_thousand_jobs_is_known(daemon: Daemon, runtime: Path) -> None:
    many = (
        "import schedule\n\ndef job(number):\n    pass\n\n"
        "for number in range(1000):\n    schedule.every(1 + number % 10).seconds.do(job, number)\n"
    )
    daemon.configure(site(make_site(runtime / "noi", many)))
    daemon.start()
    daemon.until("noi", "RUNNING")

    eventually(lambda: daemon.cli("list", "noi").stdout.count(" ok ") >= 900, "all have run", limit=100)

    assert len(daemon.cli("list", "noi", "--plain").stdout.splitlines()) == 1001
    assert daemon.site("noi")["restarts"] == 0


def history(daemon: Daemon) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(daemon.cli("history", "--limit", "0", "--json").stdout)["runs"]
    return runs
