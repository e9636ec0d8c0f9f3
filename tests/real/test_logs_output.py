"""What workers write: into their pipe, with time stamps, and what happens when it cannot be written."""

import contextlib
import json
import os
import resource
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from linodmgr import stamps
from linodmgr.daemon import fifo
from linodmgr.stamps import Clock, without
from tests.eventually import eventually
from tests.real.log_desk import START, log_desk

ANY_BYTES = b"\0nul\xff\xfe\r\x1b[31m caf\xc3\n\n\xe9\n"


def test_each_line_has_the_time_at_which_it_was_written(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk, desk.worker() as output:
        os.write(output, b"one\ntwo\nthr")
        desk.drain()
        desk.now += 61.5
        os.write(output, b"ee\nfour\n")
        desk.drain()

        first, second = Clock().stamp(START), Clock().stamp(START + 61.5)
        assert desk.text() == b"".join(
            [first, b"one\n", first, b"two\n", first, b"three\n", second, b"four\n"]
        )


def test_a_stamp_is_the_local_time_with_milliseconds_and_offset() -> None:
    stamp = Clock().stamp(START)

    assert stamps.STAMP.fullmatch(stamp)
    assert stamps.instant_of(stamp) == START


def test_all_bytes_come_through_as_they_are(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk, desk.worker() as output:
        os.write(output, ANY_BYTES)
        desk.drain()
        assert without(desk.text()) == ANY_BYTES

    with log_desk(tmp_path, log_time=False) as desk, desk.worker() as output:
        desk.path.unlink()
        os.write(output, ANY_BYTES)
        desk.drain()
        assert desk.text() == ANY_BYTES


def test_a_half_line_of_a_dead_worker_is_not_continued_by_the_next(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk:
        for text in (b"half a", b"next\n"):
            with desk.worker() as output:
                os.write(output, text)

        assert without(desk.text()) == b"half a\nnext\n"
        assert desk.tail("one") == ["next"]


def test_the_next_daemon_knows_that_it_stands_inside_a_line(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk:
        output = desk.open()
        os.write(output, b"half a")
        desk.drain()
    with log_desk(tmp_path) as desk:
        desk.thread.do(desk.logs.attach, desk.site, os.geteuid())
        os.write(output, b" line\n")
        desk.drain()
        os.close(output)

        assert without(desk.text()) == b"half a line\n"


def test_what_waits_while_no_daemon_lives_is_read_by_the_next(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk:
        output = desk.open()
    os.write(output, b"x" * 4000 + b"\n")
    with log_desk(tmp_path) as desk:
        desk.thread.do(desk.logs.attach, desk.site, os.geteuid())
        desk.drain()
        os.close(output)

        assert len(without(desk.text())) == 4001


def test_a_worker_writes_as_into_any_pipe_and_may_open_it_again(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk, desk.worker() as output:
        again = os.open(f"/proc/self/fd/{output}", os.O_WRONLY)
        os.write(again, b"again\n")
        os.close(again)

        assert os.get_blocking(output)
        desk.drain()
        assert without(desk.text()) == b"again\n"


def test_the_pipe_is_for_its_site_alone_and_goes_with_it(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk:
        with desk.worker():
            found = (tmp_path / "output" / "one").stat()
            assert stat.S_ISFIFO(found.st_mode)
            assert stat.S_IMODE(found.st_mode) == 0o600
            assert stat.S_IMODE((tmp_path / "output").stat().st_mode) == 0o700
        desk.thread.do(desk.logs.remove, "one")

        assert not (tmp_path / "output" / "one").exists()


@pytest.mark.root
def test_the_pipe_belongs_to_the_user_of_the_site(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir(mode=0o700)
    end = fifo.make(tmp_path / "output" / "one", 65534)
    os.close(end)

    assert (tmp_path / "output" / "one").stat().st_uid == 65534
    again = fifo.make(tmp_path / "output" / "one", os.geteuid())  # the site has another user by now
    os.close(again)
    assert (tmp_path / "output" / "one").stat().st_uid == os.geteuid()


@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_what_stands_in_the_place_of_the_pipe_is_removed_and_not_touched(tmp_path: Path, kind: str) -> None:
    (tmp_path / "output").mkdir(mode=0o700)
    place, elsewhere = tmp_path / "output" / "one", tmp_path / "elsewhere"
    if kind != "dangling link":
        elsewhere.write_text("kept")
    if kind == "file":
        place.write_text("stale")
    else:
        place.symlink_to(elsewhere)
    with log_desk(tmp_path) as desk, desk.worker() as output:
        os.write(output, b"line\n")

    assert kind == "dangling link" or elsewhere.read_text() == "kept"
    assert without((tmp_path / "one.log").read_bytes()) == b"line\n"


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process become larger than ``size`` bytes: what is written then fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("log_time", [True, False])
def test_what_does_not_fit_on_a_full_disk_is_counted_to_the_byte_and_said_afterwards(
    tmp_path: Path, log_time: bool
) -> None:
    lines = [b"%d of many\n" % number for number in range(1000)]
    with log_desk(tmp_path, log_time=log_time) as desk, desk.worker() as output:
        desk.thread.do(desk.logs.resume, [])  # with its journal, which is larger than the disk
        with full_disk(5000):
            for line in lines:
                os.write(output, line)
                desk.drain()
            lost = desk.logs.lost("one")
        kept = without(desk.text())
        os.write(output, b"after\n")
        desk.drain()

        assert 0 < len(kept) < 5000
        assert len(kept) + lost == len(b"".join(lines))
        assert b"".join(lines).startswith(kept)
        told = f"linodmgr: {lost} bytes of output were lost: file too large\n".encode()
        assert without(desk.text()) == kept + told + b"after\n"
        assert desk.logs.lost("one") == lost


def test_a_worker_goes_on_while_its_log_cannot_be_opened(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk, desk.worker() as output:
        desk.path.unlink()
        desk.path.mkdir()
        os.write(output, b"x" * 100)
        desk.drain()
        desk.path.rmdir()
        os.write(output, b"after\n")
        desk.drain()

        assert without(desk.text()) == b"linodmgr: 100 bytes of output were lost: is a directory\nafter\n"


def test_a_log_that_somebody_moved_away_or_cut_goes_on(tmp_path: Path) -> None:
    with log_desk(tmp_path, log_time=False) as desk, desk.worker() as output:
        os.write(output, b"one\n")
        desk.drain()
        desk.path.rename(tmp_path / "moved")
        os.write(output, b"two\nhalf")
        desk.drain()
        assert desk.text() == b"two\nhalf"
        os.truncate(desk.path, 0)
        os.write(output, b"three\n")
        desk.drain()

        assert desk.text() == b"three\n"
        assert desk.tail("one") == ["three"]


def test_what_is_known_is_handed_over(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk:
        output = desk.open()
        os.write(output, b"one\n" * 9)
        state = json.loads(json.dumps(desk.thread.do(desk.logs.state)))
        state["one"]["pipe"] = os.dup(state["one"]["pipe"])  # as an exec(2) hands it over
        with log_desk(tmp_path) as heir:
            heir.thread.do(heir.logs.restore, state)
            heir.thread.do(heir.logs.attach, heir.site, os.geteuid())
            assert heir.tail("one") == ["one"] * 9
        os.close(output)


def test_much_output_of_one_site_does_not_hold_up_another(tmp_path: Path) -> None:
    over = threading.Event()
    with log_desk(tmp_path, log_max_bytes=1_000_000, log_keep=1) as desk, desk.worker() as output:

        def flood() -> None:
            while not over.is_set():
                os.write(output, b"flood\n" * 10_000)

        writer = threading.Thread(target=flood)
        writer.start()
        try:
            other = desk.thread.do(desk.logs.open, replace(desk.site, name="other"))
            os.write(other, b"calm\n")
            path = tmp_path / "other.log"
            eventually(lambda: path.exists() and without(path.read_bytes()) == b"calm\n", "it is heard")
            os.close(other)
        finally:
            over.set()
            writer.join()


def test_a_silent_site_holds_no_file_open_and_wakes_nobody(tmp_path: Path) -> None:
    with log_desk(tmp_path) as desk, desk.worker() as output:
        os.write(output, b"line\n")
        desk.drain()

        targets = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
        assert str(desk.path) not in targets
        assert desk.thread.timers() == []
