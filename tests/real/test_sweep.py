"""Where there are no control groups: who cannot be ended holds up nobody else, and keeps nobody busy."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from linodmgr.daemon import kin
from linodmgr.daemon.sweep import AT_ONCE
from tests.eventually import eventually
from tests.real.hung_disk import hung_disk
from tests.real.swept import Swept, process

NOBODY = 65534
NOWHERE = threading.Event()  # never set: waiting for it is waiting
CAPABILITIES_3 = 0x20080522  # capget(2)
CAP_KILL = 5
HANGS = "import os, sys; os.stat(sys.argv[1])"
A_THREAD_HANGS = """\
import os, signal, sys, threading
threading.Thread(target=os.stat, args=sys.argv[1:]).start()
signal.pause()
"""
BREEDS = """\
import os, time
print(flush=True)
while True:
    time.sleep(0.005)
    if os.fork():
        os._exit(0)
"""
# A main process that has ended, and what it has left in its group, as another user.
LEAVES = f"""\
import subprocess
print(subprocess.Popen(["sleep", "100000"], user={NOBODY}, stdout=subprocess.DEVNULL).pid)
"""


@pytest.fixture
def root_like() -> Iterator[tuple[int, int]]:
    """A main process that has ended, and what it has left, which is another user's."""
    with process("one", sys.executable, "-c", LEAVES) as main:
        assert main.stdout
        left = int(main.stdout.readline())
        try:
            eventually(lambda: (seen := kin.look(main.pid)) and seen.is_dead, "the main process has ended")
            yield main.pid, left
        finally:
            os.kill(left, signal.SIGKILL)


def may_not_kill() -> None:
    """Let this thread signal only processes of its own user."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    data[0] &= ~(1 << CAP_KILL)
    assert libc.capset(header, data) == 0


@pytest.mark.root
@pytest.mark.mounts
@pytest.mark.hangs
@pytest.mark.parametrize("program", [HANGS, A_THREAD_HANGS], ids=["process", "thread"])
def test_who_hangs_in_the_kernel_holds_up_only_its_own_site(
    swept: Swept, runtime: Path, program: str
) -> None:
    with contextlib.ExitStack() as left:
        with hung_disk(runtime) as asked:
            hangs = left.enter_context(process("hangs", sys.executable, "-c", program, f"{runtime}/file"))
            asked()
            left.enter_context(process("ends", "sleep", "100000"))
            swept.end("hangs")
            eventually(swept.rests, "nobody is busy")

            swept.end("ends")

            eventually(lambda: swept.over == ["ends"], "the other site is over")
            eventually(swept.rests, "nobody is busy")
            assert hangs.poll() is None
        eventually(lambda: swept.over == ["ends", "hangs"], "it is over once it does not hang any more")


@pytest.mark.root
@pytest.mark.mounts
@pytest.mark.hangs
def test_many_who_hang_in_the_kernel_keep_nobody_busy(swept: Swept, runtime: Path) -> None:
    with contextlib.ExitStack() as left:
        with hung_disk(runtime) as asked:
            left.enter_context(process("one", "stat", f"{runtime}/file"))
            asked()
            for _ in range(AT_ONCE):  # the last are looked at first
                hangs = left.enter_context(process("many", "stat", f"{runtime}/file"))
                eventually(partial(_hangs, hangs.pid), "it waits for the first to be answered")

            swept.end("one")
            swept.end("many")

            eventually(swept.rests, "nobody is busy")
            assert swept.over == []
        eventually(lambda: set(swept.over) == {"one", "many"}, "they are over")


def test_who_is_another_process_by_the_time_the_list_of_all_is_there_is_found(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = kin.processes

    def slowly() -> list[int]:
        found = listed()
        NOWHERE.wait(0.05)
        return found

    with process("one", sys.executable, "-c", BREEDS) as first:
        assert first.stdout
        first.stdout.readline()
        try:
            eventually(lambda: first.poll() is not None, "there is another")
            monkeypatch.setattr(kin, "processes", slowly)

            swept.end("one", first.pid)

            eventually(lambda: swept.over == ["one"], "the site is over")
            eventually(partial(_is_gone, first.pid), "all are gone")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(first.pid, signal.SIGKILL)


@pytest.mark.root
def test_what_has_become_another_users_is_named_once_and_holds_up_nobody(
    swept: Swept, root_like: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    main, left = root_like
    swept.thread.do(may_not_kill)

    swept.end("one", main)

    eventually(lambda: swept.over == ["one"], "the site is over")
    eventually(swept.rests, "nobody is busy")
    named = f"one: cannot end what its worker left behind as another user: pid {left} (sleep 100000)"
    assert [record.getMessage() for record in caplog.records] == [named]


@pytest.mark.root
def test_what_has_become_another_users_does_not_hold_up_the_end_of_the_daemon(
    swept: Swept, root_like: tuple[int, int]
) -> None:
    main, _ = root_like
    swept.thread.do(may_not_kill)
    swept.end("one", main)

    swept.finish()

    assert swept.over == ["one"]


def _hangs(pid: int) -> bool:
    return bool(psutil.Process(pid).status() == psutil.STATUS_DISK_SLEEP)


def _is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False
