"""``linodmgr logs`` over files that were put aside and packed, also while it reads; by time."""

import gzip
import os
import random
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Thread

import pytest

from linodmgr.cli import logparts
from linodmgr.cli.logfile import LogFile
from linodmgr.cli.logparts import BLOCK
from linodmgr.daemon import rotation
from tests.eventually import eventually
from tests.fake_daemon import LINODMGR, configure, environment, linodmgr, running

ODD = 99_999  # bytes: ends in the middle of a character, and longer than what is shown whole


@pytest.fixture
def log_dir(runtime: Path) -> Path:
    place = configure(runtime) / "log"
    place.mkdir()
    return place


def pack(path: Path) -> None:
    """Pack the file as the daemon does it."""
    changed = path.stat().st_mtime_ns
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(packed, ns=(changed, changed))
    path.unlink()


def put_aside(path: Path, keep: int = 9) -> None:
    """Put the log aside as the daemon does it, and pack those that are old enough."""
    rotation.rotate(path, keep)
    while plain := rotation.unpacked(path):
        pack(plain)


def append(path: Path, *lines: str) -> None:
    with path.open("ab") as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def stamp(ago: timedelta) -> str:
    zone = timezone(timedelta(hours=3))  # the site's host has moved
    return (datetime.now(timezone.utc) - ago).astimezone(zone).isoformat(timespec="milliseconds")


def test_the_last_lines_are_taken_from_old_files_too(runtime: Path, log_dir: Path) -> None:
    for number in range(1, 11):
        append(log_dir / "noi.log", f"line {number}")
        if number % 3 == 0:
            put_aside(log_dir / "noi.log")

    assert sorted(path.name for path in log_dir.iterdir()) == [
        "noi.log",
        "noi.log.1",
        "noi.log.2.gz",
        "noi.log.3.gz",
    ]
    done = linodmgr(runtime, "logs", "noi", "-n", "8")
    assert done.stdout.splitlines() == [f"line {number}" for number in range(3, 11)]
    assert linodmgr(runtime, "logs", "noi", "-n", "99").stdout.count("\n") == 10


def test_lines_since_an_instant_are_found_in_old_files(runtime: Path, log_dir: Path) -> None:
    log = log_dir / "noi.log"
    for hours in range(9, -1, -1):
        append(log, f"{stamp(timedelta(hours=hours, minutes=1))} {hours} hours ago", "and more of it")
        if hours % 2:
            put_aside(log)

    done = linodmgr(runtime, "logs", "noi", "--since", "5h")

    lines = [line.partition(" ")[2] for line in done.stdout.splitlines()]
    assert lines == [line for hours in (4, 3, 2, 1, 0) for line in (f"{hours} hours ago", "more of it")]
    assert linodmgr(runtime, "logs", "noi", "--since", "5h", "-n", "2").stdout.count("\n") == 2
    assert linodmgr(runtime, "logs", "noi", "--since", "10s").stdout == ""


def test_lines_since_an_hour_of_a_day_are_found(runtime: Path, log_dir: Path) -> None:
    append(log_dir / "noi.log", "2020-02-03T10:59:59.999+00:00 before", "2020-02-03T11:00:00.000+00:00 after")
    when = datetime(2020, 2, 3, 11, tzinfo=timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M")

    assert linodmgr(runtime, "logs", "noi", "--since", when).stdout.endswith("+00:00 after\n")
    assert linodmgr(runtime, "logs", "noi", "--since", when).stdout.count("\n") == 1


def test_what_is_no_instant_is_told(runtime: Path, log_dir: Path) -> None:
    append(log_dir / "noi.log", "line")

    done = linodmgr(runtime, "logs", "noi", "--since", "yesterday")

    assert done.stderr == (
        "linodmgr: cannot show lines since 'yesterday': "
        "say how long ago or when: '2h', '30s' or '2026-11-24 10:00'\n"
    )
    assert done.returncode == 2


def test_a_log_without_times_is_shown_all_the_same_and_that_is_said(runtime: Path, log_dir: Path) -> None:
    append(log_dir / "noi.log", "line")

    done = linodmgr(runtime, "logs", "noi", "--since", "2h")

    assert done.stdout == "line\n"
    assert done.stderr == "linodmgr: noi: its lines have no times: it is shown without --since\n"


def test_the_daemons_own_lines_have_times_too(runtime: Path, log_dir: Path) -> None:
    now = datetime.now().astimezone()
    for hours in (3, 1):
        when = (now - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S,123")
        append(log_dir / "_daemon.log", f"{when} INFO {hours} ago")

    assert linodmgr(runtime, "logs", "--daemon", "--since", "2h").stdout.endswith("INFO 1 ago\n")


def test_lines_of_several_sites_come_in_the_order_of_time(runtime: Path, log_dir: Path) -> None:
    for minutes in range(6, 0, -1):
        name = "noi" if minutes % 2 else "voga"
        append(log_dir / f"{name}.log", f"{stamp(timedelta(minutes=minutes))} {minutes}", "Traceback")

    shown = linodmgr(runtime, "logs").stdout.splitlines()

    assert [(line[:4], line[-1]) for line in shown[::2]] == [
        ("noi " if minutes % 2 else "voga", str(minutes)) for minutes in range(6, 0, -1)
    ]
    assert all(line.endswith("| Traceback") for line in shown[1::2])


@pytest.fixture
def followed(runtime: Path, log_dir: Path) -> Iterator[list[bytes]]:
    """What ``logs -f -n 1 noi`` has printed."""
    append(log_dir / "noi.log", "begin")
    seen: list[bytes] = []
    with running(runtime, ["logs", "-f", "-n", "1", "noi"]) as process:
        assert process.stdout is not None
        reader = Thread(target=seen.extend, args=(process.stdout,))
        reader.start()
        eventually(lambda: seen == [b"begin\n"], "the last line is shown")
        yield seen
        process.kill()
        reader.join()


def test_following_goes_over_many_rotations_at_once(followed: list[bytes], log_dir: Path) -> None:
    for number in range(8):
        append(log_dir / "noi.log", f"line {number}", "more")
        put_aside(log_dir / "noi.log")
    append(log_dir / "noi.log", "last")

    eventually(lambda: followed[-1:] == [b"last\n"], "the last line is shown")
    assert followed[1:-1:2] == [b"line %d\n" % number for number in range(8)]
    assert followed[2:-1:2] == [b"more\n"] * 8


def test_what_was_thrown_away_meanwhile_is_left_out_and_nothing_is_shown_twice(
    followed: list[bytes], log_dir: Path
) -> None:
    for number in range(30):
        append(log_dir / "noi.log", f"line {number}")
        put_aside(log_dir / "noi.log", keep=3)
    append(log_dir / "noi.log", "last")

    eventually(lambda: followed[-1:] == [b"last\n"], "the last line is shown")
    shown = [int(line.split()[1]) for line in followed[1:-1]]
    assert shown == sorted(set(shown))
    assert shown[-3:] == [27, 28, 29]


def test_old_files_are_not_shown_again_when_the_log_is_removed(followed: list[bytes], log_dir: Path) -> None:
    log = log_dir / "noi.log"
    old = log_dir / "noi.log.1"
    append(old, "old")
    os.utime(old, (0, 0))
    log.unlink()
    append(log, "anew")

    eventually(lambda: followed[1:] == [b"anew\n"], "only the new file is shown")


def test_a_reader_misses_nothing_whenever_it_looks(tmp_path: Path) -> None:
    play = random.Random(4)
    path = tmp_path / "noi.log"
    path.touch()
    reader = LogFile(path)
    seen: list[bytes] = []
    for number in range(300):
        append(path, f"line {number}")
        if play.random() < 0.3:
            rotation.rotate(path, 50)
            path.touch()
        if play.random() < 0.3 and (plain := rotation.unpacked(path)):
            pack(plain)
        if play.random() < 0.2:
            seen += reader.news()
    seen += reader.news()

    assert seen == [b"line %d" % number for number in range(300)]


def test_a_line_that_is_shown_in_pieces_is_cut_between_characters(tmp_path: Path) -> None:
    path = tmp_path / "noi.log"
    path.touch()
    reader = LogFile(path)
    text = ("é" * 200_000 + "x" + "é" * 200_000).encode()

    pieces = []
    for begin in range(0, len(text), ODD):
        with path.open("ab") as file:
            file.write(text[begin : begin + ODD])
        pieces += reader.news()
    pieces += reader.rest()

    assert len(pieces) > 3
    assert "".join(piece.decode() for piece in pieces) == path.read_text()


def test_a_pipe_that_takes_little_gets_whole_lines_of_each_site(runtime: Path, log_dir: Path) -> None:
    for name in ("noi", "voga"):
        append(log_dir / f"{name}.log", *(f"{name * 30} {number}" for number in range(3000)))

    with running(runtime, ["logs", "-n", "3000"]) as process:
        said, _ = process.communicate(timeout=30)

    lines = said.decode().splitlines()
    assert len(lines) == 6000
    assert all(line.split(" | ")[1].startswith(line.split()[0] * 30) for line in lines)


@pytest.mark.parametrize("packed", [False, True])
def test_lines_longer_than_what_is_read_at_once_come_whole(tmp_path: Path, packed: bool) -> None:
    lines = [b"a" * (3 * BLOCK), b"", b"b" * BLOCK, b"c", b"d" * (2 * BLOCK - 3), b"no end"]
    (tmp_path / "noi.log.1").write_bytes(b"\n".join(lines))
    if packed:
        pack(tmp_path / "noi.log.1")
    part = logparts.opened_old(tmp_path / "noi.log", 1)

    assert part is not None
    assert list(part.lines()) == lines
    part.close()


@pytest.mark.parametrize("hard", [1024, 64])
def test_all_sites_are_read_with_as_many_descriptors_as_there_are(
    runtime: Path, log_dir: Path, hard: int
) -> None:
    for number in range(20):
        log = log_dir / f"s{number:02}.log"
        for age in range(4):
            log.write_text(f"{stamp(timedelta(hours=4 - age))} {age}\n")
            put_aside(log)
        log.write_text(f"{stamp(timedelta(0))} now\n")

    done = subprocess.run(
        ["prlimit", f"--nofile=64:{hard}", LINODMGR, "logs", "--since", "1d"],
        env=environment(runtime),
        capture_output=True,
        text=True,
        check=False,
    )

    if hard > 64:
        assert (done.stderr, done.returncode) == ("", 0)
        assert len(done.stdout.splitlines()) == 100
    else:
        assert done.stderr.startswith("linodmgr: cannot read ")
        assert done.stderr.endswith("too many open files\n")
        assert (done.stderr.count("\n"), done.returncode) == (1, 1)


def test_rotated_logs_are_no_sites(runtime: Path, log_dir: Path) -> None:
    append(log_dir / "noi.log", "line")
    for name in ("noi.log.1", "noi.log.2.gz", "noi.log.part"):
        (log_dir / name).touch()

    done = linodmgr(runtime, "logs")
    assert done.stdout.splitlines() == ["noi | line"]
