"""The stop signal: the job that runs may end, no other begins, then the site's own handler is called."""

import signal
from pathlib import Path

import pytest

from linodmgr.runner_protocol import Ready
from tests.eventually import eventually
from tests.real.runner_harness import Runner, copy_schedule, pythons, started

SLOW = """\
import os, signal, sys, threading, time
import schedule

def slow():
    print("begins")
    until = time.monotonic() + 60
    while not os.path.exists("finish"):
        time.sleep(0.01)
        assert time.monotonic() < until
    print("has ended")

def other():
    print("other runs")
"""

JOBS = """\
schedule.every(1).seconds.do(slow)
schedule.every(1).seconds.do(other)
"""

LOOP = """\
while True:
    schedule.run_pending()
    time.sleep(0.05)
"""

FLAG = """\
going = True
def end(number, frame):
    global going
    print("the handler is called")
    going = False
print(signal.signal(signal.SIGTERM, end) is signal.SIG_DFL, signal.getsignal(signal.SIGTERM) is end)
while going:
    schedule.run_pending()
    time.sleep(0.05)
print("cleans up")
"""

IN_A_THREAD = """\
import atexit
atexit.register(print, "at exit")
def loop():
    while True:
        schedule.run_pending()
        time.sleep(0.05)
thread = threading.Thread(target=loop)
thread.start()
{wait}
"""

ASYNCIO = """\
import asyncio
async def main():
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    while not ended.is_set():
        schedule.run_pending()
        await asyncio.sleep(0.05)
    print("cleans up")
asyncio.run(main())
"""


def stop_during_a_job(runner: Runner, site: Path, signals: int = 1) -> int:
    """Return the exit status after the stop signal came while a job runs that then ends."""
    runner.begin()
    runner.expect(Ready)
    runner.prints("begins\n")
    for _ in range(signals):
        runner.stop()
        eventually(lambda: not is_pending(runner.process.pid), "the signal has arrived")
    assert runner.process.poll() is None
    (site / "finish").touch()
    return runner.ends()


def is_pending(pid: int) -> bool:
    """Whether SIGTERM waits to be delivered, proc(5)."""
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    waiting = int(lines["ShdPnd"], 16) | int(lines["SigPnd"], 16)
    return bool(waiting & 1 << (signal.SIGTERM - 1))


@pytest.mark.parametrize("python", pythons())
def test_a_job_is_finished_and_no_other_is_begun(python: str, runtime: Path) -> None:
    copy_schedule(runtime)
    (runtime / "manage.py").write_text(SLOW + JOBS + LOOP)

    with started(runtime, runtime, python=python) as runner:
        assert stop_during_a_job(runner, runtime, signals=3) == 0

    assert runner.text() == "begins\nhas ended\n"


def test_a_handler_of_the_site_is_called_after_the_job_and_may_end_its_loop(runtime: Path) -> None:
    (runtime / "manage.py").write_text(SLOW + JOBS + FLAG)

    with started(runtime, runtime) as runner:
        assert stop_during_a_job(runner, runtime) == 0

    assert runner.text() == "True True\nbegins\nhas ended\nthe handler is called\ncleans up\n"


def test_a_loop_that_goes_on_after_its_handler_is_ended(runtime: Path) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: print('the handler is called'))\n"
    (runtime / "manage.py").write_text(SLOW + JOBS + handler + LOOP)

    with started(runtime, runtime) as runner:
        assert stop_during_a_job(runner, runtime) == 0

    assert runner.text() == "begins\nhas ended\nthe handler is called\n"


def test_a_handler_that_exits_gives_the_status(runtime: Path) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
    (runtime / "manage.py").write_text(SLOW + JOBS + handler + LOOP)

    with started(runtime, runtime) as runner:
        assert stop_during_a_job(runner, runtime) == 5


def test_an_asyncio_handler_ends_its_loop_itself(runtime: Path) -> None:
    (runtime / "manage.py").write_text(SLOW + JOBS + ASYNCIO)

    with started(runtime, runtime) as runner:
        assert stop_during_a_job(runner, runtime) == 0

    assert runner.text() == "begins\nhas ended\ncleans up\n"


@pytest.mark.parametrize("wait", ["thread.join()", "", "time.sleep(3600)"])
def test_a_loop_in_a_thread_does_not_keep_the_process_alive(wait: str, runtime: Path) -> None:
    (runtime / "manage.py").write_text(SLOW + JOBS + IN_A_THREAD.format(wait=wait))

    with started(runtime, runtime) as runner:
        assert stop_during_a_job(runner, runtime) == 0

    assert runner.text() == "begins\nhas ended\nat exit\n"


def test_a_job_that_raises_during_a_stop_is_told(runtime: Path) -> None:
    (runtime / "manage.py").write_text(SLOW.replace('print("has ended")', "1/0") + JOBS + LOOP)

    with started(runtime, runtime) as runner:
        stop_during_a_job(runner, runtime)

    assert "ZeroDivisionError" in runner.text()
    assert "other runs" not in runner.text()


def test_an_idle_loop_ends_at_once(runtime: Path) -> None:
    loop = "while True:\n    schedule.run_pending()\n    time.sleep(3600)\n"
    (runtime / "manage.py").write_text("import schedule, time\n" + loop)

    with started(runtime, runtime) as runner:
        runner.begin()
        runner.expect(Ready)
        runner.stop()
        assert runner.ends() == 0


def test_a_script_without_a_loop_of_ours_keeps_its_own_ways(runtime: Path) -> None:
    (runtime / "manage.py").write_text(
        "import signal, sys, threading\n"
        "print(signal.signal(signal.SIGTERM, lambda *_: print('handled')))\n"
        "try:\n    signal.signal(signal.SIGTERM, 'nonsense')\nexcept TypeError as error:\n    print(error)\n"
        "def in_thread():\n    try:\n        signal.signal(signal.SIGTERM, print)\n"
        "    except ValueError as error:\n        print(error)\n"
        "thread = threading.Thread(target=in_thread)\nthread.start()\nthread.join()\n"
        "print('ready')\nsignal.pause()\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('again')\nsignal.pause()\n"
    )

    with started(runtime, runtime) as runner:
        runner.begin()
        runner.prints("ready\n")
        runner.stop()
        runner.prints("again\n")
        runner.stop()
        assert runner.ends() == 0

    assert "handled\nagain\n" in runner.text()
    assert "signal handler must be signal.SIG_IGN" in runner.text()
    assert "signal only works in main thread" in runner.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_another_stop_signal_is_owned_as_well(number: int, runtime: Path) -> None:
    (runtime / "manage.py").write_text(SLOW + JOBS + LOOP)

    with started(runtime, runtime, stop_signal=int(number)) as runner:
        runner.begin()
        runner.prints("begins\n")
        runner.stop(number)
        (runtime / "finish").touch()
        assert runner.ends() == 0

    assert runner.text() == "begins\nhas ended\n"


def test_a_forked_child_that_comes_back_from_a_job_is_ended(runtime: Path) -> None:
    forks = (
        "def forks():\n    child = os.fork()\n    print('child' if child == 0 else os.waitpid(child, 0)[1])\n"
    )
    (runtime / "manage.py").write_text(SLOW + forks + "schedule.every(1).seconds.do(forks)\n" + LOOP)

    with started(runtime, runtime) as runner:
        runner.begin()
        runner.prints("child\n0\n")
        runner.stop()
        assert runner.ends() == 0


def test_a_forked_child_dies_of_the_stop_signal_as_ever(runtime: Path) -> None:
    forks = (
        "def forks():\n"
        "    child = os.fork()\n"
        "    if child == 0:\n        time.sleep(3600)\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    print(os.waitpid(child, 0)[1])\n"
    )
    (runtime / "manage.py").write_text(SLOW + forks + "schedule.every(1).seconds.do(forks)\n" + LOOP)

    with started(runtime, runtime) as runner:
        runner.begin()
        runner.prints("15\n")
        runner.stop()
        assert runner.ends() == 0
