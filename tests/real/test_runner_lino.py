"""Real Lino sites under the runner."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from linodmgr.runner_protocol import Ended, Idle, Ready, Unhooked
from tests.eventually import eventually
from tests.real.lino_sites import make_lino_site
from tests.real.runner_harness import list_mode, listed, started

pytestmark = pytest.mark.lino

SLOW = """

@{decorator}(every=1)
def slow({arguments}):
    import time
    with open(os.path.join(HERE, "begun"), "a") as file:
        file.write("x")
    while not os.path.exists(os.path.join(HERE, "finish")):
        time.sleep(0.01)
"""


@pytest.fixture
def lino21(runtime: Path) -> Path:
    return make_lino_site("21", runtime / "site")


@pytest.fixture
def lino26(runtime: Path) -> Path:
    return make_lino_site("26", runtime / "site")


def add_slow_job(site: Path, decorator: str, arguments: str) -> None:
    with (site / "ourjobs" / "models.py").open("a") as file:
        file.write(SLOW.format(decorator=decorator, arguments=arguments))


def rows(site: Path, columns: str) -> list[tuple[Any, ...]]:
    """Return what the tasks of Lino are in the site's database, by name."""
    (path,) = site.glob("*.db")
    with closing(sqlite3.connect(path)) as database:
        return list(database.execute(f"select name, {columns} from linod_systemtask order by name"))


def by_name(site: Path, runtime: Path) -> dict[str, dict[str, Any]]:
    answer = listed(runtime, site, python=site / "env/bin/python")
    assert (answer["uses_linod"], answer["reason"]) == (True, None)
    return {job["name"]: job for job in answer["jobs"]}


def test_old_lino_says_ready_and_finishes_its_job(lino21: Path, runtime: Path) -> None:
    add_slow_job(lino21, "dd.schedule_often", "")

    with started(runtime, lino21, python=lino21 / "env/bin/python") as runner:
        runner.begin()
        runner.expect(Ready)
        eventually((lino21 / "begun").exists, "the job has begun", 30)
        runner.stop()
        (lino21 / "finish").touch()
        assert runner.ends() == 0

    assert "10 scheduled jobs:\n" in runner.text()
    assert not any(isinstance(report, Unhooked) for report in runner.said)
    assert (lino21 / "begun").read_text() == "x"


def test_old_lino_lists_the_jobs_of_its_scheduler(lino21: Path, runtime: Path) -> None:
    jobs = by_name(lino21, runtime)

    assert jobs["checksummaries"]["id"] == "lino.modlib.summaries.models.checksummaries every day at 20:00"
    assert jobs["checksummaries"]["text"].startswith(
        "Every 1 day at 20:00:00 do checksummaries() (last run: ["
    )
    assert jobs["write_a_line"]["schedule"] == "every second"
    assert not (lino21 / "written").exists()


def test_old_lino_that_does_not_use_linod_is_at_rest(lino21: Path, runtime: Path) -> None:
    settings = lino21 / "settings.py"
    settings.write_text(settings.read_text().replace("use_linod = True", "use_linod = False"))
    python = lino21 / "env/bin/python"

    with started(runtime, lino21, python=python) as runner:
        runner.begin()
        assert runner.ends() == 0

    assert runner.said[1:] == [Idle("does not use linod")]
    assert listed(runtime, lino21, python=python) == {
        "uses_linod": False,
        "reason": "does not use linod",
        "kind": "schedule",
        "jobs": [],
    }


def test_a_stop_in_the_middle_of_a_task_lets_it_end_in_the_database(lino26: Path, runtime: Path) -> None:
    add_slow_job(lino26, "schedule_often", "ar")

    with started(runtime, lino26, python=lino26 / "env/bin/python") as runner:
        runner.begin()
        runner.expect(Ready)
        eventually((lino26 / "begun").exists, "the task has begun", 60)
        assert by_name(lino26, runtime)["slow"]["running"] is True
        runner.stop()
        (lino26 / "finish").touch()
        assert runner.ends() == 0, runner.text()

    unfinished = [row for row in rows(lino26, "last_start_time, last_end_time") if row[1] and not row[2]]
    assert unfinished == []
    assert by_name(lino26, runtime)["slow"]["last_run"] is not None
    assert (lino26 / "begun").read_text() == "x"


def test_tasks_are_listed_before_and_after_lino_made_them(lino26: Path, runtime: Path) -> None:
    before = by_name(lino26, runtime)

    with started(runtime, lino26, python=lino26 / "env/bin/python") as runner:
        (lino26 / "raise").touch()
        runner.begin()
        runner.expect(Ready)
        eventually(lambda: "Disabled" in runner.text(), "the task has raised", 60)
        runner.stop()
        runner.ends()
    after = by_name(lino26, runtime)

    assert sorted(before) == sorted(after)
    assert {name: job["interval"] for name, job in before.items()} == {
        name: job["interval"] for name, job in after.items()
    }
    assert before["write_a_line"]["id"] == "linod.SystemTask:write_a_line"
    keys = dict(rows(lino26, "id"))
    assert {name: job["id"] for name, job in after.items()} == {
        name: f"linod.SystemTask:{key}" for name, key in keys.items()
    }
    assert before["send_pending_emails_often"]["schedule"] == "every 10 seconds"
    assert after["send_weekly_report"]["schedule"] == before["send_weekly_report"]["schedule"]
    failed = after["raise_when_asked"]
    assert (failed["enabled"], failed["why"]) == (False, "ValueError: raised as asked")
    assert failed["next_run"] is None
    assert after["write_a_line"]["enabled"] is True
    assert after["write_a_line"]["next_run"] > after["write_a_line"]["last_run"]


def test_a_task_that_exits_ends_lino_after_ready(lino26: Path, runtime: Path) -> None:
    (lino26 / "exit").touch()

    with started(runtime, lino26, python=lino26 / "env/bin/python") as runner:
        runner.begin()
        assert runner.ends() == 0

    assert [report for report in runner.said if isinstance(report, Ready)] == [Ready()]
    last = runner.said[-1]
    assert isinstance(last, Ended)
    assert (last.outcome, last.error) == ("failed", "SystemExit: 0")


def test_a_database_without_tables_is_a_reason(lino26: Path, runtime: Path) -> None:
    (path,) = lino26.glob("*.db")
    path.unlink()

    done = list_mode(runtime, lino26, python=lino26 / "env/bin/python")

    assert (done.returncode, done.stdout) == (1, "")
    reason = "cannot read the tasks of linod in the site's database: no such table: "
    assert done.stderr.splitlines()[-1].startswith(reason)


def test_lino_whose_channels_are_not_installed_says_so(lino26: Path, runtime: Path) -> None:
    settings = lino26 / "settings.py"
    settings.write_text(settings.read_text().replace('"use_channels", False', '"use_channels", True'))

    done = list_mode(runtime, lino26, python=lino26 / "env/bin/python")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "cannot list the jobs: No module named 'channels'"


@pytest.mark.needs("redis-server")
@pytest.mark.usefixtures("redis")
def test_lino_with_channels_says_ready_and_stops(runtime: Path) -> None:
    site = make_lino_site("25-channels", runtime / "site")
    python = site / "env/bin/python"

    with started(runtime, site, python=python) as runner:
        runner.begin()
        runner.expect(Ready)
        runner.stop()
        assert runner.ends() == 0, runner.text()

    assert not any(isinstance(report, Unhooked) for report in runner.said)
