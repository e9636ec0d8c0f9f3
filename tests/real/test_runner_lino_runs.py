"""What is told of a real Lino's tasks and their runs; what becomes of those that were left running."""

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from linodmgr.runner_protocol import Begun, Declined, Ended, Jobs, PastJob, Ready, RunNow, Stalled, Unhooked
from tests.cache import run
from tests.eventually import eventually
from tests.real.lino_sites import make_lino_site
from tests.real.runner_harness import Runner, started

pytestmark = pytest.mark.lino

# A daily task runs once, when there is no other reason for it than that it never ran.
MORE_JOBS = """

from lino.modlib.linod.choicelists import schedule_daily

@schedule_daily()
def warn_when_asked(ar):
    if asked_for("warn"):
        raise Warning("warned as asked")


@schedule_daily()
def slow_when_asked(ar):
    import time
    if asked_for("be slow"):
        open(os.path.join(HERE, "begun"), "w").close()
        while not os.path.exists(os.path.join(HERE, "finish")):
            time.sleep(0.01)


@schedule_often(every=1)
def take_the_table_away_when_asked(ar):
    if asked_for("no table"):
        from django.db import connection
        connection.cursor().execute("alter table linod_systemtask rename to elsewhere")
"""


@pytest.fixture
def lino26(runtime: Path) -> Path:
    return with_more_jobs(make_lino_site("26", runtime / "site"))


def with_more_jobs(site: Path) -> Path:
    with (site / "ourjobs" / "models.py").open("a") as file:
        file.write(MORE_JOBS)
    return site


def row(site: Path, name: str, columns: str) -> tuple[Any, ...]:
    """Return what a task is in the site's database."""
    (path,) = site.glob("*.db")
    with closing(sqlite3.connect(path, timeout=30)) as database:
        (found,) = database.execute(f"select {columns} from linod_systemtask where name = ?", [name])
    return tuple(found)


def begins(runner: Runner, past: list[PastJob] | None = None) -> dict[str, str]:
    """Let the runner go on; return the ids of its jobs by name."""
    runner.begin(past or [])
    runner.expect(Ready)
    return {job.name: job.id for job in runner.expect(Jobs).jobs}


def stops(runner: Runner) -> None:
    runner.stop()
    assert runner.ends() == 0, runner.text()
    assert not any(isinstance(report, Unhooked) for report in runner.said)


def test_runs_of_tasks_are_told_with_how_they_ended(lino26: Path, runtime: Path) -> None:
    (lino26 / "raise").touch()
    (lino26 / "warn").touch()

    with started(runtime, lino26, python=lino26 / "env/bin/python") as runner:
        ids = begins(runner)
        (failed,) = runner.expects(Ended, job=ids["raise_when_asked"])
        (warned,) = runner.expects(Ended, job=ids["warn_when_asked"])
        well = runner.expects(Ended, 2, job=ids["write_a_line"])[0]
        told = eventually(lambda: disabled(runner), "told that it is disabled", 60)
        stops(runner)

    assert ids["write_a_line"] == f"linod.SystemTask:{row(lino26, 'write_a_line', 'id')[0]}"
    assert (well.outcome, well.error, well.trace) == ("ok", "", "")
    assert well.next_run is not None
    assert 0 < well.next_run - well.at <= 2
    assert (failed.outcome, failed.error) == ("failed", "ValueError: raised as asked")
    assert failed.trace.endswith("ValueError: raised as asked")
    assert "ourjobs/models.py" in failed.trace
    assert failed.next_run is None
    assert (warned.outcome, warned.error) == ("warned", "Warning: warned as asked")
    assert told == {"raise_when_asked": "ValueError: raised as asked"}
    begun = {report.run: report for report in runner.said if isinstance(report, Begun)}
    assert begun[failed.run].job == ids["raise_when_asked"]
    assert begun[failed.run].thread != 0


def disabled(runner: Runner) -> dict[str, str | None]:
    """Return why jobs are disabled, as was told last, by name."""
    return {job.name: job.why for job in runner.expects(Jobs)[-1].jobs if not job.enabled}


def test_jobs_are_told_as_lino_has_them(lino26: Path, runtime: Path) -> None:
    with started(runtime, lino26, python=lino26 / "env/bin/python") as runner:
        begins(runner)
        told = runner.expect(Jobs)
        stops(runner)

    assert (told.kind, told.first) == ("lino", True)
    jobs = {job.name: job for job in told.jobs}
    assert jobs["send_pending_emails_often"].schedule == "every 10 seconds"
    assert jobs["send_pending_emails_often"].interval == 10
    assert jobs["write_a_line"].text == "Every 1 second do write_a_line()"
    assert all(job.enabled and not job.durable for job in told.jobs)


def test_a_task_whose_worker_died_is_released_if_that_run_was_ours(lino26: Path, runtime: Path) -> None:
    python = lino26 / "env/bin/python"
    (lino26 / "be slow").touch()
    with started(runtime, lino26, python=python) as runner:
        job = begins(runner)["slow_when_asked"]
        eventually((lino26 / "begun").exists, "it is under way", 60)
        (begun,) = runner.expects(Begun, job=job)
        runner.process.kill()
        runner.ends()
    left = row(lino26, "slow_when_asked", "last_start_time, last_end_time")
    assert left[1] is None
    assert datetime.fromisoformat(begun.mark).replace(tzinfo=None) == datetime.fromisoformat(left[0])

    others = PastJob(id=job, mark=begun.mark.replace("+00:00", "+01:00"))
    (runtime / "other").mkdir()
    with started(runtime / "other", lino26, python=python) as runner:
        writes = begins(runner, [others])["write_a_line"]
        runner.expects(Ended, 2, job=writes)
        stops(runner)
    assert "is released" not in runner.text()
    assert row(lino26, "slow_when_asked", "last_start_time, last_end_time") == left

    (runtime / "again").mkdir()
    with started(runtime / "again", lino26, python=python) as runner:
        begins(runner, [PastJob(id=job, mark=begun.mark)])
        stops(runner)
    assert f"linodmgr: {job} slow_when_asked is released" in runner.text()
    start, end, message, is_disabled = row(
        lino26, "slow_when_asked", "last_start_time, last_end_time, message, disabled"
    )
    assert start == left[0]
    assert end > start
    assert message.startswith("Released by linodmgr: ")
    assert not is_disabled
    assert not any(report.job == job for report in runner.said if isinstance(report, Begun))


def test_a_task_is_run_when_asked_also_if_it_is_disabled(lino26: Path, runtime: Path) -> None:
    (lino26 / "raise").touch()

    with started(runtime, lino26, python=lino26 / "env/bin/python") as runner:
        ids = begins(runner)
        (regular,) = runner.expects(Ended, job=ids["warn_when_asked"])
        runner.expects(Ended, job=ids["raise_when_asked"])
        runner.say(RunNow(ids["warn_when_asked"], "one"))
        runner.say(RunNow(ids["warn_when_asked"], "two"))
        runner.say(RunNow(ids["raise_when_asked"], "three"))
        runner.say(RunNow("linod.SystemTask:999", "four"))
        (declined,) = runner.expects(Declined)
        asked = [runner.expects(Begun, asked=token)[0] for token in ("one", "two", "three")]
        ended = [runner.expects(Ended, run=begun.run)[0] for begun in asked]
        stops(runner)

    assert declined == Declined("four", "'linod.SystemTask:999' is not a task of this site")
    assert [begun.job for begun in asked] == [
        ids["warn_when_asked"],
        ids["warn_when_asked"],
        ids["raise_when_asked"],
    ]
    assert [report.outcome for report in ended] == ["ok", "ok", "ok"]
    assert ended[0].run > regular.run
    assert row(lino26, "raise_when_asked", "disabled, requested_at") == (1, None)


def test_a_task_runner_that_ends_with_its_process_is_a_death(lino26: Path, runtime: Path) -> None:
    (lino26 / "no table").touch()

    with started(runtime, lino26, python=lino26 / "env/bin/python") as runner:
        job = begins(runner)["take_the_table_away_when_asked"]
        assert runner.ends() == 1

    (ended,) = [report for report in runner.said if isinstance(report, Ended) and report.job == job]
    assert (ended.outcome, ended.error.partition(":")[0]) == ("failed", "OperationalError")
    assert not any(isinstance(report, Stalled) for report in runner.said)


# Before Lino 25.7 the task runner makes no rows.
MAKE_A_ROW = """
from lino.modlib.linod.choicelists import Procedures
from lino.modlib.linod.models import SystemTask

(procedure,) = [one for one in Procedures.get_list_items() if one.value == "write_a_line"]
row = SystemTask(procedure=procedure, **procedure.kwargs)
row.full_clean()
row.save()
"""


@pytest.mark.needs("redis-server")
@pytest.mark.usefixtures("redis")
def test_a_task_runner_that_ends_in_a_process_that_lives_on_is_told(runtime: Path) -> None:
    site = make_lino_site("25-channels", runtime / "site")
    run([str(site / "env/bin/python"), "manage.py", "shell", "-c", MAKE_A_ROW], cwd=site)

    with started(runtime, site, python=site / "env/bin/python") as runner:
        job = begins(runner)["write_a_line"]
        runner.expects(Ended, job=job, outcome="ok")
        runner.say(RunNow(job, "token"))
        runner.expects(Begun, job=job, asked="token")
        (path,) = site.glob("*.db")
        with closing(sqlite3.connect(path, timeout=30)) as database:
            database.execute("alter table linod_systemtask rename to elsewhere")
        stalled = runner.expect(Stalled)
        assert runner.process.poll() is None
        stops(runner)

    assert stalled.reason.startswith("Lino's task runner has ended: ")
    assert "no such table: linod_systemtask" in stalled.reason
    assert "Traceback" in runner.text()
