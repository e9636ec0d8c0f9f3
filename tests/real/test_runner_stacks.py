"""The signal that makes a runner write its stacks, whatever its job does."""

import signal
from pathlib import Path

import pytest

from linodmgr.runner_protocol import Begun
from tests.real.runner_harness import copy_schedule, pythons, started

SITE = """\
# execute_from_command_line is called by others
import ctypes, signal, socket, threading, time
import schedule
{before}
def hangs():
    print("hangs", flush=True)
    {body}

schedule.every(1).seconds.do(hangs)
while True:
    schedule.run_pending()
    time.sleep(0.05)
"""
WAYS = {
    "sleep": "time.sleep(600)",
    "socket": "pair = socket.socketpair(); pair[0].recv(1)",
    "lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "c": "ctypes.PyDLL(None).sleep(600)",  # PyDLL keeps the GIL
}


def dump(python: str, body: str, runtime: Path, before: str = "") -> str:
    """Return what is written when a job hangs in ``body``."""
    copy_schedule(runtime)
    (runtime / "manage.py").write_text(SITE.format(body=body, before=before))
    with started(runtime, runtime, python=python) as runner:
        runner.begin()
        begun = runner.expect(Begun)
        runner.prints("hangs")
        assert runner.said[0].stacks > signal.SIGRTMIN  # type: ignore[union-attr]
        runner.stop(runner.said[0].stacks)  # type: ignore[union-attr]
        runner.prints("in <module>")
        assert runner.process.poll() is None
        assert f"0x{begun.thread:016x} (most recent call first)" in runner.text()
        return runner.text()


@pytest.mark.parametrize("way", WAYS)
def test_the_stacks_are_written_whatever_the_job_hangs_in(way: str, runtime: Path) -> None:
    assert f'File "{runtime}/manage.py", line 7 in hangs\n' in dump(pythons()[-1], WAYS[way], runtime)


@pytest.mark.parametrize("python", pythons())
def test_every_python_writes_its_stacks(python: str, runtime: Path) -> None:
    assert f'File "{runtime}/manage.py", line 7 in hangs\n' in dump(python, WAYS["c"], runtime)
