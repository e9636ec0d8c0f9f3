"""The process that waits to become a worker of another user: exactly what Popen would have made."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from linodmgr.daemon.contain import Room
from linodmgr.daemon.spare import Spare
from linodmgr.launch import Launch
from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.loop_thread import LoopThread, loop_thread
from tests.real.users import new_user
from tests.real.worker_sites import site

pytestmark = pytest.mark.root

SHOWS_ITSELF = Path(__file__).parents[1] / "workers" / "shows_itself.py"
PYTHON = "/usr/bin/python3"  # every user may run it
OWNER = """
import asyncio
from linodmgr.daemon.contain import Room
from linodmgr.daemon.spare import Spare

async def main():
    spare = Spare(set(), lambda: Room('', '0' * 16))
    spare._prepare()
    print(spare._process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Stage:
    """A spare process, and a directory of ``nobody`` for what it becomes."""

    def __init__(self, thread: LoopThread, place: Path) -> None:
        self.thread = thread
        self.place = place
        self.spare: Spare = thread.do(Spare, set(), lambda: Room("", "0" * 16))
        self.room = Room("noi", "0" * 16)
        place.chmod(0o777)
        shutil.copy(SHOWS_ITSELF, place / "worker.py")

    def start(self, program: str = PYTHON) -> Launch:
        """Return how to start the worker."""
        arguments = (
            program,
            "-c",
            "import os, runpy; os.chdir(os.environ['AT']); runpy.run_path('worker.py')",
        )
        identity = {"user": 65534, "group": 65534, "extra_groups": [65534, 100], "umask": 0o027}
        return Launch(arguments, {"AT": str(self.place), "ODD": "a\udcff\n=b"}, identity)

    def take(self, start: Launch) -> "subprocess.Popen[bytes]":
        """Return what became of the spare process."""
        with open(self.place / "output", "ab") as output, open(self.place / "lock", "ab") as lock:
            return self.thread.do(self.spare.become, start, output.fileno(), lock.fileno(), self.room)

    def one_waits(self) -> int:
        """Let a process wait, and return its pid."""
        self.thread.do(self.spare._prepare)
        return self.waiting()

    def waiting(self) -> int:
        """Return the pid of the spare process, which there will be."""
        return eventually(lambda: next(iter(spares_of(os.getpid())), 0), "one waits")

    def seen(self) -> dict[str, Any]:
        """Return what the worker says of itself."""
        path = self.place / "seen.json"
        eventually(path.exists, "the worker has shown itself")
        seen: dict[str, Any] = json.loads(path.read_text())
        seen["descriptors"] = sorted(seen["descriptors"].values())
        path.unlink()
        return seen


def spares_of(pid: int) -> list[int]:
    """Return the pids of the spare processes of a daemon."""
    found = []
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(argument.endswith("spare_process.py") for argument in child.cmdline()):
                found.append(child.pid)
    return found


@pytest.fixture
def stage(runtime: Path) -> Iterator[Stage]:
    with loop_thread() as thread:
        made = Stage(thread, runtime)
        yield made
        thread.do(made.spare.close)


def test_what_becomes_of_it_is_what_popen_would_have_made(stage: Stage) -> None:
    start = stage.start()
    with open(stage.place / "output", "ab") as output, open(stage.place / "lock", "ab") as lock:
        by_popen = subprocess.Popen(
            **start.keywords(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock.fileno(),),
        )
    expected = stage.seen()
    ended(by_popen)

    pid = stage.one_waits()
    child = stage.take(start)
    assert child.pid == pid
    assert stage.seen() == expected
    assert expected["umask"] == 0o027
    assert expected["uid"] == [65534] * 3
    assert expected["groups"] == [100, 65534]
    ended(child)


def test_a_program_that_is_missing_is_told_as_popen_tells_it(stage: Stage) -> None:
    stage.one_waits()

    with pytest.raises(FileNotFoundError) as caught:
        stage.take(stage.start("/nonexistent"))

    assert caught.value.errno == errno.ENOENT


def test_another_one_waits_soon_after_one_was_taken(stage: Stage) -> None:
    first = stage.one_waits()
    child = stage.take(stage.start())

    second = stage.waiting()

    assert child.pid == first
    assert second != first
    ended(child)


def test_where_nobody_waits_one_is_made(stage: Stage) -> None:
    stage.thread.do(stage.spare.rest)

    child = stage.take(stage.start())

    assert stage.seen()["uid"] == [65534] * 3
    ended(child)


def test_one_that_somebody_killed_is_reaped_and_keeps_nobody_from_starting(stage: Stage) -> None:
    pid = stage.one_waits()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(pid), "it was reaped")

    ended(stage.take(stage.start()))


def test_one_that_has_just_ended_has_a_successor_at_once(stage: Stage) -> None:
    spare = stage.one_waits()

    stage.room.take(spare)  # as it is lent

    def in_the_same_moment(start: Launch, output: int, lock: int) -> "subprocess.Popen[bytes]":
        os.kill(spare, signal.SIGKILL)
        os.waitid(os.P_PID, spare, os.WEXITED | os.WNOWAIT)
        return stage.spare.become(start, output, lock, stage.room)

    with open(stage.place / "output", "ab") as output, open(stage.place / "lock", "ab") as lock:
        child = stage.thread.do(in_the_same_moment, stage.start(), output.fileno(), lock.fileno())

    assert child.pid != spare
    assert stage.room.pid == child.pid, "or it would be killed with whoever has the other pid by then"
    stage.seen()
    ended(child)


def test_one_that_ends_instead_of_becoming_anybody_is_a_start_to_try_again(stage: Stage) -> None:
    (stage.place / "ends.py").touch()
    stage.spare._program = stage.place / "ends.py"

    with pytest.raises(BlockingIOError):
        stage.take(stage.start())


def test_a_worker_of_another_user_starts_again_out_of_the_spare_process(
    daemon: Daemon, runtime: Path
) -> None:
    with new_user() as user:
        python = runtime / "noi" / "env" / "bin" / "python"
        python.parent.mkdir(parents=True)
        (runtime / "noi" / "manage.py").touch()
        python.write_text("#!/bin/sh\nexec sleep 100000\n")
        python.chmod(0o755)
        daemon.configure(site(runtime / "noi", user=user.pw_name, good_run=0.1, settle=0.1))
        daemon.start()
        first = daemon.until("noi", "RUNNING")["pid"]
        spare = eventually(lambda: next(iter(spares_of(daemon.pid)), 0), "one waits")

        os.kill(first, signal.SIGKILL)
        eventually(lambda: daemon.site("noi")["pid"] not in (None, first), "it was started again")

        again = daemon.until("noi", "RUNNING")
        assert again["pid"] == spare
        assert psutil.Process(spare).uids().real == user.pw_uid
        daemon.stop()


def test_it_is_left_alone_when_another_site_cannot_be_started(daemon: Daemon, runtime: Path) -> None:
    with new_user() as user:
        for name in ("noi", "gone"):
            python = runtime / name / "env" / "bin" / "python"
            python.parent.mkdir(parents=True)
            (runtime / name / "manage.py").touch()
            python.write_text("#!/bin/sh\nexec sleep 100000\n")
            python.chmod(0o755)
        keys = {"user": user.pw_name, "good_run": 0.1, "settle": 0.1}
        daemon.configure(site(runtime / "noi", **keys) + site(runtime / "gone", **keys))
        daemon.start()
        pid = [daemon.until(name, "RUNNING")["pid"] for name in ("noi", "gone")][1]
        [spare] = eventually(lambda: spares_of(daemon.pid), "one waits")
        (runtime / "gone").rename(runtime / "away")

        os.kill(pid, signal.SIGKILL)

        daemon.until("gone", "BLOCKED")
        assert spares_of(daemon.pid) == [spare]
        assert "left behind" not in daemon.said()
        daemon.stop()


def test_it_ends_with_a_daemon_that_was_killed(stage: Stage) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()

    eventually(lambda: not psutil.pid_exists(pid), "it has ended")


def ended(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.wait()
