"""What workers leave behind: there may be thousands, some may not be ended, and to end others may fail."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from linodmgr import birth, cgroups
from linodmgr.daemon.cgroup import Cgroup, Emptying
from linodmgr.daemon.contain import Cell, Room
from linodmgr.daemon.ends import Ends
from linodmgr.daemon.starts import Start
from tests.eventually import eventually
from tests.real.loop_thread import LoopThread, loop_thread

HOUSE = Path(__file__).parents[2]
# The daemon's part in a process of its own, for it becomes a subreaper; argument: where groups are made.
HEAD = """\
import asyncio, logging, os, signal, subprocess, sys
from pathlib import Path
from linodmgr import birth
from linodmgr.core.site import Site
from linodmgr.daemon import kin
from linodmgr.daemon.contain import Contain
from linodmgr.daemon.ends import Ends
from linodmgr.daemon.starts import Start
from tests.eventually import eventually

logging.basicConfig(format="%(message)s")
told = []
rooms = Contain(sys.argv[1], Path("/"))
ends = Ends(None)

def start(name, script, **keys):
    process = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)
    room = rooms.room(Site(name=name, directory="/nowhere"))
    room.take(process.pid)
    one = Start(
        name=name, pid=process.pid, started=birth.born(process.pid), uid=os.geteuid(), process=process,
        stop_signal=signal.SIGTERM, room=room, pidfd=os.pidfd_open(process.pid),
        on_exit=lambda pid, status: told.append(name), **keys,
    )
    ends.watch(one)
    return one

def go_on(one):
    one.process.stdin.close()

def orphans(count):
    return eventually(lambda: found if len(found := who("sleep 100000")) == count else [], "they are ours")

def who(command):
    return [pid for pid in kin.children() if kin.command(pid) == command]

async def until(check, what):
    for _ in range(1000):
        if check():
            return
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.01)
    raise AssertionError(what)
"""
MANY = """
def cost():
    before = reads()
    ends.orphans.look()
    return reads() - before

def reads():
    with open("/proc/self/io") as file:
        return int(next(line for line in file if line.startswith("syscr")).split()[1])

async def main():
    ends.begin(None)
    for number in range(10):
        start(f"s{number}", "read line")
    start("many", "read line; for i in $(seq 100); do (setsid env -i sleep 100000 &) done; sleep 1000")
    go_on([*ends.starts.values()][-1])
    many = orphans(100)
    eventually(lambda: cost() < len(many), "they are not looked at again and again")
    os.kill(many[0], signal.SIGKILL)
    eventually(lambda: not (ends.orphans.look() or many[0] in kin.children()), "the dead are reaped")
    assert who("sleep 100000") == many[1:]
    ends.close()
    assert not kin.children()
    rooms.close()

asyncio.run(main())
"""
CROWD = """
async def main():
    ends.begin(None)
    start("crowd", "for i in $(seq 800); do (setsid env -i sleep 100000 &) done; read line")
    orphans(800)
    ends.close()
    assert not kin.children()

asyncio.run(main())
"""
ANOTHERS = """
async def main():
    ends.begin(None)
    script = "exec >/dev/null 2>&1; (sleep 100000 &); (setsid env -i sleep 100000 &); read line"
    one = start("one", script, is_asked=True)
    print(*orphans(2), flush=True)
    ends.look()  # they may live, as the worker does
    os.setresuid(65534, 65534, 65534)
    others = [start("two", "read line"), start("three", "read line", is_asked=True)]
    for each in (one, *others):
        go_on(each)
    await until(lambda: sorted(told) == ["one", "three", "two"], "all ends are told")
    told.clear()
    go_on(start("four", "read line"))
    await until(lambda: told, "who ends later is told, too")
    await until(lambda: len(ends.orphans.hand_over()) == 2, "nobody waits for what is left")
    ends.look()
    ends.close()

asyncio.run(main())
"""
BUSY = """
class Slow(asyncio.SelectorEventLoop):
    now = 1000.0  # time is what we say

    def time(self):
        return self.now

loop = Slow()
times = []

def look():
    times.append(loop.now)
    loop.now += 0.5
    return {}

async def turn():
    pass

async def main():
    ends.orphans.look = look
    ends.begin([])
    ends.look()
    for _ in range(1000):
        os.kill(os.getpid(), signal.SIGCHLD)
        await asyncio.wait([asyncio.ensure_future(turn())])
        loop.now += 0.01
    ends.close()

loop.run_until_complete(main())
print(len(times))
"""


class Failing(Cgroup):
    """One that cannot be killed while there are no descriptors left."""

    scarce = True

    def kill(self) -> None:
        """Raise OSError, or kill."""
        if self.scarce:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        super().kill()


class FailingOnce(Emptying):
    """The first time, there are no descriptors left."""

    has_failed = False

    def wait(self, group: Cgroup, empty: Callable[[], None]) -> None:
        """Raise OSError, or wait."""
        if not self.has_failed:
            self.has_failed = True
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        super().wait(group, empty)


@pytest.mark.root
@pytest.mark.parametrize("kind", ["groups", "no groups"])
def test_of_a_thousand_that_live_none_is_looked_at_twice(runtime: Path, kind: str) -> None:
    done = play(MANY, cgroups.find(runtime) if kind == "groups" else "")

    assert done.stderr == ""


def test_a_thousand_that_are_left_are_ended_without_a_word() -> None:
    assert play(CROWD).stderr == ""


@pytest.mark.root
def test_what_may_not_be_ended_is_said_once_and_keeps_no_end_from_being_told() -> None:
    done = play(ANOTHERS)

    pids = [int(pid) for pid in done.stdout.split()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    reason = "left behind: it runs as another user"
    assert sorted(line for line in done.stderr.splitlines() if "cannot end" in line) == [
        f"cannot end pid {pids[1]} (sleep 100000), which somebody {reason}",
        f"one: cannot end pid {pids[0]} (sleep 100000), which its worker {reason}",
    ]
    assert "Traceback" not in done.stderr


@pytest.mark.root
def test_an_end_that_cannot_be_seen_to_is_said_and_tried_again_and_keeps_no_other(
    runtime: Path, caplog: pytest.LogCaptureFixture
) -> None:
    group = Failing(f"{cgroups.find(runtime)}/w-{'0' * 24}")
    group.make()
    told: list[str] = []
    with loop_thread() as thread:
        emptying = FailingOnce()
        cell = Cell("one", "0" * 24, group, emptying)
        ends = thread.do(Ends, None)
        watch(thread, ends, cell, "exec 0<&-; sleep 100000 & exit", told)
        eventually(lambda: "one: cannot see to the end of its worker" in caplog.text, "it is said")
        watch(thread, ends, Room("two", "two"), "exit 0", told)
        eventually(lambda: told == ["two"], "the other is told")

        group.scarce = False

        eventually(lambda: told == ["two", "one"], "it is tried again")
        assert emptying.has_failed
        assert caplog.text.count("cannot see to the end") == 1
        thread.do(emptying.close)
        thread.do(ends.close)
    Cgroup(os.path.dirname(group.path)).remove()


def test_looks_at_children_that_end_all_the_time_leave_most_of_the_time_to_others() -> None:
    assert 2 <= int(play(BUSY).stdout) <= 4


def watch(thread: LoopThread, ends: Ends, room: Room, script: str, told: list[str]) -> None:
    """Watch a worker that was just started in a room."""
    process = subprocess.Popen(["/bin/sh", "-c", f"read line; {script}"], stdin=subprocess.PIPE)
    room.take(process.pid)
    start = Start(
        name=room.name,
        pid=process.pid,
        started=birth.born(process.pid),
        uid=os.geteuid(),
        stop_signal=signal.SIGTERM,
        room=room,
        pidfd=os.pidfd_open(process.pid),
        on_exit=lambda _pid, _status: told.append(room.name),
        process=process,
    )
    thread.do(partial(ends.watch, start))
    assert process.stdin is not None
    process.stdin.close()


def play(script: str, base: str = "") -> "subprocess.CompletedProcess[str]":
    """Return what the script did, which must end well."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, base],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done
