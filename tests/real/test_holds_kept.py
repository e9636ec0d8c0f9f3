"""What is stored of holds: for the next daemon, for no later boot, and damaged ones."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.birth import booted_utc, born
from linodmgr.core.site import Site
from linodmgr.daemon.hold_file import Hold, HoldFile
from linodmgr.daemon.holds import UNKNOWN, Holds
from linodmgr.daemon.keep import Locks
from tests.eventually import eventually
from tests.real.loop_thread import LoopThread, loop_thread

ONE = Site(name="one", directory="/nowhere/one")
TWO = Site(name="two", directory="/nowhere/two")
LONGER = "rsync --archive --delete /srv/of/many/sites /mnt/backup"


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    with loop_thread() as made:
        yield made


@contextlib.contextmanager
def holds_in(home: Path, thread: LoopThread) -> Iterator[tuple[Holds, list[Hold]]]:
    """Yield the holds of a daemon that has just started, and which of them are over since."""
    holds = Holds(HoldFile(home), Locks(home))
    over: list[Hold] = []
    thread.do(holds.watch, over.append)
    try:
        yield holds, over
    finally:
        thread.do(holds.close)


def held(home: Path, thread: LoopThread, process: "subprocess.Popen[bytes]", words: str = "pg_dump") -> None:
    """Store a hold on the first site."""
    with holds_in(home, thread) as (holds, _):
        thread.do(holds.add, [ONE], (process.pid, born(process.pid)), os.geteuid(), words)


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "1000"]) as made:
        yield made
        made.kill()


def test_the_next_daemon_holds_as_long_as_the_process_lives(
    tmp_path: Path, thread: LoopThread, process: "subprocess.Popen[bytes]"
) -> None:
    held(tmp_path, thread, process)

    with holds_in(tmp_path, thread) as (holds, over):
        assert holds.reason(ONE) == f"held for 'pg_dump' (pid {process.pid})"
        assert holds.reason(TWO) == ""
        process.kill()
        eventually(lambda: over, "its end is noticed")
        assert holds.reason(ONE) == ""


def test_a_process_that_ended_while_no_daemon_ran_holds_nothing(
    tmp_path: Path, thread: LoopThread, process: "subprocess.Popen[bytes]"
) -> None:
    held(tmp_path, thread, process)
    process.kill()
    process.wait()

    with holds_in(tmp_path, thread) as (holds, _):
        assert holds.reason(ONE) == ""
    assert json.loads((tmp_path / "holds.json").read_bytes()) == {}


@pytest.mark.parametrize("changed", [{"boot": "another"}, {"started": 1}])
def test_another_process_of_the_same_pid_holds_nothing(
    tmp_path: Path, thread: LoopThread, process: "subprocess.Popen[bytes]", changed: dict[str, object]
) -> None:
    held(tmp_path, thread, process)
    path = tmp_path / "holds.json"
    stored = json.loads(path.read_bytes())
    stored["holds"][0].update(changed)
    path.write_text(json.dumps(stored))

    with holds_in(tmp_path, thread) as (holds, _):
        assert holds.reason(ONE) == ""


def test_a_long_command_is_shown_short_and_on_one_line(
    tmp_path: Path, thread: LoopThread, process: "subprocess.Popen[bytes]"
) -> None:
    held(tmp_path, thread, process, f"{LONGER}\nand more")

    with holds_in(tmp_path, thread) as (holds, _):
        assert holds.reason(ONE) == f"held for '{LONGER[:39]}…' (pid {process.pid})"


DAMAGED = {
    "empty": b"",
    "cut off": b'{"holds": [{"si',
    "no text": b"\xff\xfe",
    "another shape": b"[1, 2]",
    "another kind": b'{"holds": 7}',
    "a part of another kind": b'{"holds": [{"sites": [], "pid": 1, "started": 1, "boot": "","command": ""}]}',
    "deep": b"[" * 100_000,
    "endless": b'{"holds": [' + b'"x",' * 2_000_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_what_cannot_be_read_holds_every_site_until_somebody_releases(
    tmp_path: Path, thread: LoopThread, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "holds.json").write_bytes(content)

    with holds_in(tmp_path, thread) as (holds, _):
        assert holds.reason(ONE) == holds.reason(TWO) == UNKNOWN
    assert (tmp_path / "holds.damaged").read_bytes() == content
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert f"cannot read {tmp_path}/holds.json" in caplog.text
    assert "no site is started" in caplog.text

    with holds_in(tmp_path, thread) as (holds, _):
        assert holds.reason(ONE) == UNKNOWN, "also in the daemon after the next"
        assert thread.do(holds.release, [ONE], ["one", "two"]) == [ONE]
        assert (holds.reason(ONE), holds.reason(TWO)) == ("", UNKNOWN)
    with holds_in(tmp_path, thread) as (holds, _):
        assert (holds.reason(ONE), holds.reason(TWO)) == ("", UNKNOWN)
        thread.do(holds.release, [TWO], ["one", "two"])
        assert holds.reason(Site(name="new", directory="/nowhere/new")) == ""


def test_what_cannot_be_read_of_an_earlier_boot_holds_nothing(tmp_path: Path, thread: LoopThread) -> None:
    path = tmp_path / "holds.json"
    path.write_bytes(b"{")
    os.utime(path, (booted_utc() - 60, booted_utc() - 60))

    with holds_in(tmp_path, thread) as (holds, _):
        assert holds.reason(ONE) == ""
    assert (tmp_path / "holds.damaged").exists()


def test_a_hold_that_is_over_is_over_although_it_cannot_be_stored(
    tmp_path: Path, thread: LoopThread, process: "subprocess.Popen[bytes]", caplog: pytest.LogCaptureFixture
) -> None:
    held(tmp_path, thread, process)
    (tmp_path / "holds.new").mkdir()  # as good as a full disk

    with holds_in(tmp_path, thread) as (holds, over):
        process.kill()
        eventually(lambda: over, "its end is noticed")
        assert holds.reason(ONE) == ""
    assert "cannot store in" in caplog.text
