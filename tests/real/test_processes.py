"""What the loop may expect of its processes: the same of real ones and of those that tests play."""

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from linodmgr import cgroups
from linodmgr.core.states import Remedy
from linodmgr.daemon.spawning import SpawnError
from tests.eventually import eventually
from tests.real.loop_thread import loop_thread
from tests.real.process_worlds import GOES_ON, HAS_A_CHILD, IS_DEAF, Linux, Played, World

HAS_A_HANDLER = f"""\
exec {sys.executable} -c '
import signal

signal.signal(signal.SIGTERM, print)
while True:
    signal.pause()
'"""
WAITS_IN_A_THREAD = f"""\
exec {sys.executable} -c '
import os, signal, threading

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
threading.Thread(target=lambda: os._exit(signal.sigwait([signal.SIGTERM]) and 3)).start()
'"""
PROBLEM = "umask: must be octal digits"


KINDS = ["groups", "no groups"]  # where the host has control groups, and where it has not


@pytest.fixture(params=KINDS)
def linux(runtime: Path, request: pytest.FixtureRequest) -> Iterator[Linux]:
    with _linux(runtime, request.param) as made:
        yield made


@pytest.fixture(params=["played", *KINDS])
def world(runtime: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "played":
        with loop_thread() as thread:
            yield Played(thread)
    else:
        with _linux(runtime, request.param) as made:
            yield made


@contextlib.contextmanager
def _linux(runtime: Path, kind: str) -> Iterator[Linux]:
    with loop_thread() as thread:
        made = Linux(thread, runtime, cgroups.find(runtime) if kind == "groups" else "")
        yield made
        made.end_all()


def test_each_worker_has_a_pid_of_its_own(world: World) -> None:
    assert world.spawn("one") != world.spawn("two")
    assert world.exits == []


def test_an_end_is_told_once_with_pid_and_status(world: World) -> None:
    pid, other = world.spawn("one"), world.spawn("two")

    world.end(pid)

    eventually(lambda: world.exits, "its end is told")
    world.end(other)
    eventually(lambda: len(world.exits) > 1, "the other end is told")
    assert world.exits == [(pid, -signal.SIGKILL), (other, -signal.SIGKILL)]


def test_who_is_asked_to_stop_ends(world: World) -> None:
    pid, other = world.spawn("one"), world.spawn("two")

    world.terminate(pid)

    assert eventually(lambda: world.exits, "its end is told")[0][0] == pid
    world.kill(other)


def test_who_ignores_the_stop_signal_ends_only_when_killed(world: World) -> None:
    pid = world.spawn("one", IS_DEAF)

    world.terminate(pid)
    witness = world.spawn("witness")
    world.terminate(witness)
    eventually(lambda: world.exits, "the witness has ended")
    assert [ended for ended, _ in world.exits] == [witness]

    world.kill(pid)
    eventually(lambda: len(world.exits) > 1, "it has ended")
    assert world.exits[1] == (pid, -signal.SIGKILL)


def test_signals_for_a_worker_that_has_ended_reach_nobody(world: World) -> None:
    pid = world.spawn("one")
    world.end(pid)
    eventually(lambda: world.exits, "its end is told")

    world.terminate(pid)
    world.kill(pid)

    assert world.exits == [(pid, -signal.SIGKILL)]


def test_signals_for_a_process_that_is_no_worker_reach_nobody(world: World) -> None:
    world.terminate(os.getpid())
    world.kill(os.getpid())


def test_a_site_with_a_problem_is_not_spawned_until_that_changes(world: World) -> None:
    with pytest.raises(SpawnError, match=PROBLEM) as refused:
        world.spawn("one", problem=PROBLEM)

    assert refused.value.remedy is Remedy.CHANGE
    assert world.exits == []


def test_a_site_can_be_spawned_again_once_its_worker_has_ended(world: World) -> None:
    first = world.spawn("one")
    world.end(first)
    eventually(lambda: world.exits, "its end is told")

    assert world.spawn("one") != first


# From here on what only real processes can show.


def test_a_worker_is_killed_with_its_whole_group(linux: Linux) -> None:
    pid = linux.spawn("one", HAS_A_CHILD)
    child = psutil.Process(int(eventually(lambda: linux.note("one", "child"), "it has a child")))

    linux.kill(pid)

    eventually(lambda: linux.exits, "its end is told")
    eventually(lambda: not child.is_running(), "its child has ended")


def test_what_a_dead_worker_left_in_its_group_has_gone_before_its_end_is_told(linux: Linux) -> None:
    pid = linux.spawn("one", HAS_A_CHILD)
    child = psutil.Process(int(eventually(lambda: linux.note("one", "child"), "it has a child")))

    linux.end(pid)

    eventually(lambda: linux.exits, "its end is told")
    eventually(lambda: not child.is_running(), "its child has ended")
    assert linux.spawn("one") != pid, "the lock is free"


def test_the_stop_signal_goes_to_the_main_process_only(linux: Linux) -> None:
    pid = linux.spawn("one", GOES_ON)
    child = psutil.Process(int(eventually(lambda: linux.note("one", "child"), "it has a child")))

    linux.terminate(pid)

    eventually(lambda: linux.note("one", "stopped"), "it has heard")
    assert child.is_running()
    assert child.status() != psutil.STATUS_ZOMBIE
    linux.kill(pid)


def test_a_project_has_one_worker_whatever_its_site_is_called(linux: Linux) -> None:
    pid = linux.spawn("one")

    with pytest.raises(SpawnError, match=f"another linod runs for this directory: pid {pid} ") as refused:
        linux.spawn("one", name="uno")

    assert refused.value.remedy is Remedy.RETRY
    assert refused.value.in_the_way == (pid,)
    assert linux.exits == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda place: (place / "env" / "bin" / "python").unlink(), "No such file or directory"),
        (lambda place: (place / "env" / "bin" / "python").chmod(0o600), "Permission denied"),
        (lambda place: (place / "env" / "bin" / "python").write_bytes(b"\x7fELF"), "Exec format error"),
        (lambda place: place.rename(place.with_name("elsewhere")), "No such file or directory"),
    ],
    ids=["no python", "not executable", "no program", "no directory"],
)
def test_what_is_missing_is_named_and_looked_for_again(linux: Linux, damage: object, words: str) -> None:
    site = linux.site("one")
    assert callable(damage)
    damage(Path(site.directory))

    with pytest.raises(SpawnError, match=words) as refused:
        linux.spawn_site(site)

    assert refused.value.remedy is Remedy.RETRY
    assert site.directory in refused.value.reason


def test_a_log_that_cannot_be_written_is_tried_again_soon(linux: Linux) -> None:
    linux.logs.rename(linux.logs.with_name("elsewhere"))

    with pytest.raises(SpawnError, match=r"cannot open the log '.*/one\.log': No such file") as refused:
        linux.spawn("one")

    assert refused.value.remedy is Remedy.BACKOFF


def test_starts_and_ends_leave_no_descriptor_behind(linux: Linux) -> None:
    linux.end(linux.spawn("one"))
    eventually(lambda: linux.exits, "its end is told")
    gc.collect()  # what earlier tests have left to it
    before = psutil.Process().num_fds()

    for _ in range(30):
        linux.exits.clear()
        linux.end(linux.spawn("one"))
        eventually(lambda: linux.exits, "its end is told")

    linux.logs.rename(linux.logs.with_name("elsewhere"))
    for _ in range(30):
        with pytest.raises(SpawnError):
            linux.spawn("one")
    eventually(lambda: psutil.Process().num_fds() <= before, "all are closed")


def test_a_worker_that_ends_while_it_is_being_started_is_told_like_any_other(linux: Linux) -> None:
    pids = [linux.spawn(f"site{number}", "exit 3") for number in range(10)]

    eventually(lambda: len(linux.exits) == len(pids), "all ends are told")
    assert sorted(linux.exits) == sorted((pid, 3) for pid in pids)


def test_a_worker_has_its_own_streams_and_its_lock_and_nothing_else(linux: Linux) -> None:
    pid = linux.spawn("one")
    eventually(lambda: psutil.Process(pid).name() == "sleep", "it runs")

    descriptors = eventually(lambda: links(pid, 4), "it has loaded its libraries")

    pipe = f"{linux.pipes}/one"
    assert [descriptors.pop(number) for number in "012"] == ["/dev/null", pipe, pipe]
    [lock] = descriptors.values()
    assert lock.startswith(str(linux.locks))


def links(pid: int, count: int) -> dict[str, str]:
    """Return what the descriptors of a process are, if there are so many."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[entry.name] = os.readlink(entry)
    return found if len(found) == count else {}


def test_the_stop_signal_is_for_the_main_thread(linux: Linux) -> None:
    pid = linux.spawn("one", HAS_A_HANDLER)
    eventually(lambda: has(pid, "SigCgt"), "it has a handler")
    os.kill(pid, signal.SIGSTOP)  # what comes stays where it can be seen
    eventually(lambda: status(pid)["State"].startswith("T"), "it is stopped")

    linux.terminate(pid)

    assert has(pid, "SigPnd")
    assert not has(pid, "ShdPnd"), "any thread might take it, and Python not hear of it"
    os.kill(pid, signal.SIGCONT)


def test_the_stop_signal_is_for_the_thread_that_waits_for_it(linux: Linux) -> None:
    pid = linux.spawn("one", WAITS_IN_A_THREAD)
    eventually(lambda: has(pid, "SigBlk"), "its main thread blocks the signal")

    linux.terminate(pid)

    assert eventually(lambda: linux.exits, "its end is told") == [(pid, 3)]


def has(pid: int, field: str) -> bool:
    """Whether SIGTERM is among those that proc_pid_status(5) tells of the main thread in ``field``."""
    return bool(int(status(pid)[field], 16) & 1 << (signal.SIGTERM - 1))


def status(pid: int) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
