"""What is told of a loop with jobs of `schedule`: while it goes round, with many jobs, after another one."""

import time
from pathlib import Path

import pytest

from linodmgr.runner_protocol import (
    Ended,
    Jobs,
    PastJob,
    Tick,
    Unhooked,
)
from tests.eventually import eventually
from tests.real.runner_harness import started
from tests.real.runner_scripts import FAILS, HOURLY, HOURLY_ID, lines, script, stops


def test_jobs_that_come_and_go_are_told_again(runtime: Path) -> None:
    adds = "def adds():\n    schedule.every().hour.do(other)\n    return schedule.CancelJob\n"
    script(runtime, adds + "schedule.every(1).seconds.do(adds)\n")

    with started(runtime, runtime) as runner:
        runner.begin()
        told = runner.expects(Jobs, 2)
        ended = runner.expect(Ended)
        stops(runner)

    assert [[job.name for job in one.jobs] for one in told] == [["adds"], ["other"]]
    assert ended.next_run is None, "it has no next run"


def test_an_idle_loop_says_that_it_goes_round(runtime: Path) -> None:
    script(runtime, HOURLY)

    with started(runtime, runtime) as runner:
        runner.begin(watchdog=2.0)
        runner.expects(Tick, 2)
        stops(runner)


def test_a_loop_that_sleeps_until_a_job_is_due_wakes_for_its_watchdog(runtime: Path) -> None:
    script(
        runtime, HOURLY, "while True:\n    schedule.run_pending()\n    time.sleep(schedule.idle_seconds())\n"
    )

    with started(runtime, runtime) as runner:
        runner.begin(watchdog=2.0)
        runner.expects(Tick, 2)
        stops(runner)


def test_a_thousand_jobs_are_told_in_several_lines(runtime: Path) -> None:
    script(
        runtime, "for number in range(1000):\n    schedule.every(5).seconds.do(other, number, 'x' * 100)\n"
    )
    (runtime / "manage.py").write_text(
        (runtime / "manage.py").read_text().replace("def other()", "def other(*_)")
    )

    with started(runtime, runtime) as runner:
        runner.begin()
        ended = runner.expects(Ended, 2000)
        stops(runner)

    jobs = [job for report in runner.expects(Jobs) for job in report.jobs]
    assert len({job.id for job in jobs}) == len(jobs) == 1000
    assert [report.first for report in runner.expects(Jobs)][:2] == [True, False]
    assert {one.job for one in ended} == {job.id for job in jobs}
    assert not any(isinstance(report, Unhooked) for report in runner.said)


def test_a_hook_that_breaks_leaves_the_site_running(runtime: Path) -> None:
    breaks = "class Broken(list):\n    def __len__(self):\n        raise RuntimeError('it is broken')\n"
    script(
        runtime, breaks + FAILS.format("pass") + "schedule.default_scheduler.jobs = Broken(schedule.jobs)\n"
    )

    with started(runtime, runtime) as runner:
        runner.begin()
        unhooked = runner.expect(Unhooked)
        eventually(lambda: lines(runtime / "fails") > 1 and lines(runtime / "other") > 1, "both jobs run on")
        stops(runner)

    assert unhooked.reason == "cannot watch the jobs: RuntimeError: it is broken"


def test_what_an_earlier_worker_did_is_gone_on_with(runtime: Path) -> None:
    now = time.time()
    jobs = (
        HOURLY + "schedule.every(10).minutes.do(other)\nschedule.every().day.at('00:00').do(write, 'daily')\n"
    )
    script(runtime, jobs)
    others = [PastJob(f"nobody {number}", now, now) for number in range(5000)]
    past = [
        PastJob(HOURLY_ID, now - 3000, now - 2990, due=now - 3000, next_run=now + 610),
        PastJob("__main__.other every 10 minutes", now - 400, now - 300, due=now - 400),
    ]

    with started(runtime, runtime) as runner:
        runner.begin(others + past)
        (told,) = runner.expects(Jobs)
        stops(runner)

    hourly, other, _ = [job.next_run for job in told.jobs]
    assert hourly == pytest.approx(now + 610, abs=0.01)
    assert other == pytest.approx(now + 300, abs=0.1)
