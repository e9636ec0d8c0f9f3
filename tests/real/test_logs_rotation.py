"""Logs are put aside when they are full, and packed."""

import os
import signal
import stat
from pathlib import Path

from linodmgr.daemon.packing import Packer
from linodmgr.stamps import without
from tests.eventually import eventually
from tests.real.log_desk import log_desk


def test_a_full_log_is_put_aside_between_two_lines_and_nothing_is_lost(tmp_path: Path) -> None:
    lines = [b"%d %s\n" % (number, b"x" * (number * 37 % 400)) for number in range(3000)]
    with log_desk(tmp_path, log_max_bytes=20_000, log_keep=1000) as desk:
        with desk.worker() as output:
            for begin in range(0, len(lines), 7):
                os.write(output, b"".join(lines[begin : begin + 7]))
        parts = desk.parts()

        assert len(parts) > 30
        assert all(part.endswith(b"\n") for part in parts)
        assert all(20_000 <= len(part) < 20_500 for part in parts[:-1])
        assert without(b"".join(parts)) == b"".join(lines)


def test_only_so_many_old_ones_are_kept_also_when_that_becomes_less(tmp_path: Path) -> None:
    for keep in (4, 2, 0):
        with log_desk(tmp_path, log_max_bytes=100, log_keep=keep, log_time=False) as desk:
            with desk.worker() as output:
                os.write(output, b"".join(b"%099d\n" % number for number in range(10)))

            assert [int(part) for part in desk.parts()] == list(range(9 - keep, 10))
            assert len(list(tmp_path.glob("one.log*"))) == keep + 1


def test_old_logs_are_packed_but_for_the_latest(tmp_path: Path) -> None:
    with log_desk(tmp_path, log_max_bytes=1000, log_keep=4, log_time=False) as desk:
        desk.logs.packer = _at_once(desk.logs.packer)
        with desk.worker() as output:
            os.write(output, b"".join(b"%099d\n" % number for number in range(100)))
        desk.packed(3)

        assert sorted(path.name for path in tmp_path.glob("one.log*")) == [
            "one.log",
            "one.log.1",
            "one.log.2.gz",
            "one.log.3.gz",
            "one.log.4.gz",
        ]
        assert [int(line) for line in b"".join(desk.parts()).splitlines()] == list(range(50, 100))
        assert stat.S_IMODE((tmp_path / "one.log.2.gz").stat().st_mode) == 0o640


def test_a_packer_that_is_killed_leaves_the_old_log_as_it_is(tmp_path: Path) -> None:
    born: list[int] = []

    def kill(pid: int) -> None:
        born.append(pid)
        os.kill(pid, signal.SIGKILL)

    lines = [os.urandom(3_000_000).replace(b"\n", b"") + b"\n" for _ in range(5)]  # they take their time
    with log_desk(tmp_path, log_max_bytes=2_000_000, log_keep=4, log_time=False) as desk:
        desk.logs.packer = _at_once(desk.logs.packer)
        desk.logs.packer.born = kill
        with desk.worker() as output:
            for line in lines[:4]:
                write(output, line)
        eventually(lambda: born and not (tmp_path / "one.log.part").exists(), "it was killed")

        assert desk.parts() == lines[:4]
        assert not list(tmp_path.glob("*.gz"))
        (tmp_path / "one.log.part").write_text("of a daemon that was killed, too")
        desk.logs.packer.born = born.append
        with desk.worker() as output:
            write(output, lines[4])
        desk.packed(3)
        assert desk.parts() == lines


def test_the_next_daemon_packs_what_an_earlier_one_did_not_come_to(tmp_path: Path) -> None:
    for name in ("one.log", "one.log.1", "one.log.2", "one.log.3"):
        (tmp_path / name).write_text(f"{name}\n")
    (tmp_path / "one.log.part").write_text("half")
    with log_desk(tmp_path) as desk:
        desk.logs.packer = _at_once(desk.logs.packer)

        desk.thread.do(desk.logs.resume, [desk.site])

        desk.packed(2)
        assert desk.parts() == [b"one.log.3\n", b"one.log.2\n", b"one.log.1\n", b"one.log\n"]


def write(output: int, text: bytes) -> None:
    """Write all of it."""
    view = memoryview(text)
    while view:
        view = view[os.write(output, view) :]


def _at_once(packer: Packer) -> Packer:
    packer.pause = 0.0
    return packer


def test_a_line_without_end_is_taken_and_kept_in_one_piece(tmp_path: Path) -> None:
    with log_desk(tmp_path, log_max_bytes=1000, log_time=False) as desk, desk.worker() as output:
        for _ in range(30):
            os.write(output, b"\0" * 100_000)
        os.write(output, b"\nnext\n")
        desk.drain()

        assert [len(part) for part in desk.parts()] == [3_000_001, 5]


def test_a_part_of_a_log_is_found_after_it_was_put_aside(tmp_path: Path) -> None:
    with log_desk(tmp_path, log_max_bytes=1000) as desk, desk.worker() as output:
        os.write(output, b"before\n" * 20)
        begin = desk.thread.do(desk.logs.size, "one")
        os.write(output, b"inside\n" * 10)
        end = desk.thread.do(desk.logs.size, "one")
        os.write(output, b"after\n" * 3)
        desk.drain()

        assert len(desk.parts()) == 2
        assert desk.logs.between("one", begin, end, 100) == ["inside"] * 10
        assert desk.thread.do(desk.logs.text, "one", begin, 10_000) == "inside\n" * 10 + "after\n" * 3
