"""A daemon that goes away, comes back, or does not read: no job notices; what can be kept is told later."""

from pathlib import Path

from linodmgr.runner_protocol import Begun, Ended, Hello, Jobs, Past, PastJob, Ready, RunNow, Tick
from tests.eventually import eventually
from tests.real.runner_harness import started

BEGINNING = """\
# execute_from_command_line is called by others
import os, time
import schedule

def often():
    with open("ran", "a") as file:
        file.write("x\\n")

def waits():
    while not os.path.exists("go"):
        time.sleep(0.01)

"""
LOOP = """
while True:
    schedule.run_pending()
    time.sleep(0.01)
"""
OFTEN = "schedule.every(1).seconds.do(often)\n"
WAITS = "schedule.every(1).seconds.do(waits)\n"
STORM = """
def storm():
    for _ in range(400):
        for job in schedule.jobs[1:]:
            job.run()
    open("over", "w").close()
    return schedule.CancelJob

schedule.every(1).seconds.do(storm)
for number in range(10):
    schedule.every(1).hours.do(lambda: None)
"""


def ran(site: Path) -> int:
    return (site / "ran").read_text().count("x") if (site / "ran").exists() else 0


def test_a_daemon_that_comes_back_is_told_all(runtime: Path) -> None:
    (runtime / "manage.py").write_text(BEGINNING + WAITS + OFTEN + LOOP)

    with started(runtime, runtime) as runner:
        runner.begin(watchdog=4.0)
        (under_way,) = runner.expects(Begun)
        runner.hang_up()
        (runtime / "go").touch()
        eventually(lambda: ran(runtime) > 2, "jobs run on")
        runner.come_back()
        (hello,) = runner.expects(Hello)
        runner.say(Past([PastJob("__main__.often every second", 1.0, 1.0)]))
        runner.go(isolate_jobs=False)
        runner.expects(Ended, 5)
        runner.stop()
        assert runner.ends() == 0, runner.text()

    assert hello.resumed
    assert hello.stacks
    assert [type(report) for report in runner.said[:3]] == [Hello, Ready, Jobs]
    ended = runner.expects(Ended)
    assert ended[0].run == under_way.run
    assert [one.run for one in ended] == sorted(one.run for one in ended)
    jobs = runner.expects(Jobs)[0].jobs
    assert {job.name for job in jobs} == {"waits", "often"}
    assert runner.expects(Ended, job=jobs[1].id)[0].run == 2, "none got lost"


def test_a_run_under_way_is_told_to_the_daemon_that_comes(runtime: Path) -> None:
    loop = "import threading\nthreading.Thread(target=schedule.jobs[0].run, daemon=True).start()\n"
    # Not due in the main thread as well: there it would wait before the loop looks for a daemon again.
    waits = "schedule.every().day.do(waits)\n"
    (runtime / "manage.py").write_text(BEGINNING + waits + OFTEN + loop + LOOP)

    with started(runtime, runtime) as runner:
        runner.begin(watchdog=4.0)
        (first,) = runner.expects(Begun, job="__main__.waits every day")
        runner.hang_up()
        runner.come_back()
        runner.expects(Hello)
        (again,) = runner.expects(Begun, job=first.job)
        (runtime / "go").touch()
        runner.expects(Ended, run=first.run)
        runner.stop()
        assert runner.ends() == 0, runner.text()

    assert again == first


def test_a_daemon_that_reads_nothing_blocks_no_job_and_hears_what_was_lost(runtime: Path) -> None:
    (runtime / "manage.py").write_text(BEGINNING + STORM + LOOP)

    with started(runtime, runtime) as runner:
        runner.begin(watchdog=4.0)
        eventually((runtime / "over").exists, "the storm is over", 60)
        ticks = runner.expects(Tick, 3)
        runner.stop()
        assert runner.ends() == 0, runner.text()

    runs = {report.run for report in runner.said if isinstance(report, Ended)}
    assert ticks[-1].lost > 0
    assert len(runs) > 500, "what fits is kept"
    assert max(runs) > 4000 - 100, "the newest are among them"


def test_a_wish_is_heard_from_the_daemon_that_came(runtime: Path) -> None:
    (runtime / "manage.py").write_text(BEGINNING + "schedule.every().day.do(often)\n" + LOOP)

    with started(runtime, runtime) as runner:
        runner.begin()
        runner.expect(Jobs)
        runner.hang_up()
        runner.come_back()
        (jobs,) = runner.expects(Jobs)
        runner.say(RunNow(jobs.jobs[0].id, "token"))
        runner.expects(Begun, asked="token")
        runner.expects(Ended, outcome="ok")
        runner.stop()
        assert runner.ends() == 0, runner.text()
