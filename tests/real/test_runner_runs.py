"""What is told of the jobs of `schedule` and their runs, and what a job that fails does to the others."""

from pathlib import Path

import pytest

from linodmgr.runner_protocol import (
    Begun,
    Declined,
    Ended,
    Hello,
    Jobs,
    Ready,
    RunNow,
    Stored,
)
from tests.real.runner_harness import copy_schedule, pythons, started
from tests.real.runner_scripts import FAILS, FAILS_ID, HOURLY, HOURLY_ID, lines, script, stops


@pytest.mark.parametrize("python", pythons())
def test_each_run_is_told_and_a_failing_job_fails_alone(python: str, runtime: Path) -> None:
    copy_schedule(runtime)
    script(runtime, FAILS.format("raise ValueError('no\\nmail')"))

    with started(runtime, runtime, python=python) as runner:
        runner.begin()
        runner.expects(Ended, 2, job=FAILS_ID)
        runner.expects(Ended, 2, job="__main__.other every second", outcome="ok")
        begun, ended = runner.expect(Begun), runner.expect(Ended)
        (jobs,) = runner.expects(Jobs)
        stops(runner)

    assert [type(report) for report in runner.said[1:4]] == [Ready, Jobs, Begun]
    assert [(job.id, job.interval, job.durable) for job in jobs.jobs] == [
        (FAILS_ID, 1, False),
        ("__main__.other every second", 1, False),
    ]
    assert begun.run == ended.run
    assert begun.due == jobs.jobs[0].next_run
    assert (ended.outcome, ended.error) == ("failed", "ValueError: no mail")
    assert ended.next_run is not None
    assert 0.5 < ended.next_run - ended.at < 1.5
    assert ended.trace.splitlines()[-3:] == [
        "    raise ValueError('no\\nmail')",
        "ValueError: no",
        "mail",
    ] or ended.trace.endswith("ValueError: no\nmail")
    assert "/runner-" not in ended.trace
    assert "fails: failed, next run 2" in runner.text()
    assert "ValueError: no\nmail\n" in runner.text()
    assert "/runner-" not in runner.text()


def test_without_isolation_an_error_ends_the_loop_and_is_told(runtime: Path) -> None:
    script(runtime, FAILS.format("raise ValueError('no mail')"))

    with started(runtime, runtime) as runner:
        runner.begin(isolate_jobs=False)
        assert runner.ends() == 1

    (ended,) = runner.expects(Ended)
    assert (ended.outcome, ended.error) == ("failed", "ValueError: no mail")
    assert runner.text().endswith("ValueError: no mail\n")
    assert not (runtime / "other").exists()


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        ("sys.exit(3)", 3, "SystemExit: 3"),
        ("sys.exit()", 0, "SystemExit"),
        ("raise KeyboardInterrupt", -2, "KeyboardInterrupt"),
    ],
)
def test_a_job_that_ends_the_process_has_failed(end: str, status: int, error: str, runtime: Path) -> None:
    script(runtime, FAILS.format(end))

    with started(runtime, runtime) as runner:
        runner.begin()
        assert runner.ends() == status

    assert [(one.outcome, one.error) for one in runner.expects(Ended)] == [("failed", error)]


def test_the_run_of_a_job_that_drops_the_process_was_begun(runtime: Path) -> None:
    script(runtime, FAILS.format("os._exit(4)"))

    with started(runtime, runtime) as runner:
        runner.begin()
        assert runner.ends() == 4

    assert [report.job for report in runner.said if isinstance(report, Begun | Ended)] == [FAILS_ID]


@pytest.mark.parametrize("end", ["pass", "raise ValueError", "sys.exit(1)", "other()"])
def test_a_child_of_a_job_tells_nothing(end: str, runtime: Path) -> None:
    forks = f"if os.fork() == 0:\n        {end}\n    else:\n        write('status', str(os.wait()[1] >> 8))"
    script(runtime, FAILS.format(forks))

    with started(runtime, runtime) as runner:
        runner.begin()
        ended = runner.expects(Ended, 3, job=FAILS_ID)
        begun = runner.expects(Begun, 3, job=FAILS_ID)
        stops(runner)

    assert {one.outcome for one in ended} == {"ok"}
    assert [one.run for one in begun][:3] == [one.run for one in ended][:3]
    assert set((runtime / "status").read_text().split()) == {
        "1" if "ValueError" in end or "exit" in end else "0"
    }


def test_a_job_that_closes_all_descriptors_is_told_of_again(runtime: Path) -> None:
    script(
        runtime,
        FAILS.format("os.closerange(0, 100) if not os.path.exists('closed') else None; write('closed')"),
    )

    with started(runtime, runtime) as runner:
        runner.begin()
        runner.expects(Begun, job=FAILS_ID)
        runner.take_again()
        (hello,) = runner.expects(Hello, resumed=True)
        ended = runner.expects(Ended, 2, job=FAILS_ID)
        stops(runner)

    assert hello.stacks
    assert ended[0].run == 1, "what could not be told at once is told later"


def test_a_job_that_prints_much_is_a_job_like_others(runtime: Path) -> None:
    script(runtime, FAILS.format("sys.stdout.write('x' * 10000000 + '\\n')"))

    with started(runtime, runtime) as runner:
        runner.begin()
        assert runner.expects(Ended, job=FAILS_ID)[0].outcome == "ok"
        stops(runner)


def test_a_durable_run_waits_for_its_beginning_to_be_stored(runtime: Path) -> None:
    script(runtime, HOURLY + "schedule.jobs[0].next_run = schedule.datetime.datetime.now()\n")

    with started(runtime, runtime) as runner:
        runner.begin()
        begun = runner.expect(Begun)
        runner.say(Stored(begun.run))
        runner.expect(Ended)
        stops(runner)

    assert begun.stored
    assert begun.due is not None
    assert begun.following is not None
    assert 3590 < begun.following - begun.due < 3610


def test_a_daemon_that_does_not_store_keeps_no_job_from_running(runtime: Path) -> None:
    script(runtime, HOURLY + "schedule.jobs[0].next_run = schedule.datetime.datetime.now()\n")

    with started(runtime, runtime) as runner:
        runner.begin()
        runner.expects(Ended, outcome="ok")
        stops(runner)


def test_a_job_is_run_when_somebody_asks_and_keeps_its_time(runtime: Path) -> None:
    script(runtime, HOURLY)

    with started(runtime, runtime) as runner:
        runner.begin()
        (jobs,) = runner.expects(Jobs)
        runner.say(RunNow(HOURLY_ID, "token"))
        begun, ended = runner.expect(Begun), runner.expect(Ended)
        runner.say(RunNow("nobody", "other"))
        declined = runner.expect(Declined)
        stops(runner)

    assert (begun.asked, begun.due, ended.outcome) == ("token", None, "ok")
    assert ended.next_run == jobs.jobs[0].next_run
    assert declined == Declined("other", "this site has no job 'nobody' now")
    assert lines(runtime / "hourly") == 1
