"""``linodmgr logs``: last lines, following, and what can be wrong."""

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from linodmgr.cli import logs
from linodmgr.cli.logfile import LogFile
from linodmgr.cli.logparts import BLOCK
from linodmgr.errors import LinodmgrError
from tests.eventually import eventually
from tests.fake_daemon import LINODMGR, configure, environment, linodmgr, running
from tests.terminal import on_a_terminal


@pytest.fixture
def log_dir(runtime: Path) -> Path:
    place = configure(runtime) / "log"
    place.mkdir()
    (place / "noi.log").write_bytes(b"".join(b"line %d\n" % i for i in range(1, 31)))
    (place / "voga.log").write_bytes(b"salut\n")
    (place / "_daemon.log").write_bytes(b"serving\n")
    return place


def test_the_last_twenty_lines_are_shown(runtime: Path, log_dir: Path) -> None:
    done = linodmgr(runtime, "logs", "noi")

    assert done.stdout.splitlines() == [f"line {i}" for i in range(11, 31)]
    assert done.returncode == 0


def test_several_sites_have_their_names_in_front(runtime: Path, log_dir: Path) -> None:
    done = linodmgr(runtime, "logs", "-n", "2")

    assert done.stdout.splitlines() == ["noi  | line 29", "noi  | line 30", "voga | salut"]


def test_patterns_choose_sites_and_none_is_shown_twice(runtime: Path, log_dir: Path) -> None:
    done = linodmgr(runtime, "logs", "-n1", "v*", "noi", "n?i")

    assert done.stdout.splitlines() == ["voga | salut", "noi  | line 30"]


def test_the_daemon_has_a_log_too(runtime: Path, log_dir: Path) -> None:
    assert linodmgr(runtime, "logs", "--daemon").stdout == "serving\n"
    assert "_daemon" not in linodmgr(runtime, "logs").stdout
    assert linodmgr(runtime, "logs", "--daemon", "noi").returncode == 2


def test_a_pipe_gets_the_bytes_as_they_were_written(runtime: Path, log_dir: Path) -> None:
    (log_dir / "noi.log").write_bytes(b"caf\xe9\x1b[31m\r\nno end")

    with running(runtime, ["logs", "noi"]) as process:
        said, _ = process.communicate(timeout=30)

    assert said == b"caf\xe9\x1b[31m\r\nno end\n"


def test_a_terminal_is_not_controlled_by_what_a_site_writes(runtime: Path, log_dir: Path) -> None:
    (log_dir / "noi.log").write_bytes(b"caf\xe9 \x1b[2Jaway\tand\x9b31m\r\n")

    _, said = on_a_terminal([LINODMGR, "logs", "noi"], environment(runtime), 80)

    assert said == "caf\ufffd \\x1b[2Jaway\tand\ufffd31m\r\n"


def test_an_unknown_site_ends_with_2(runtime: Path, log_dir: Path) -> None:
    done = linodmgr(runtime, "logs", "nio")

    assert done.stderr.replace(str(log_dir), "DIR") == (
        "linodmgr: cannot show the log of 'nio': there is none in DIR: unknown site, or never started\n"
    )
    assert done.returncode == 2


def test_no_name_leads_out_of_the_directory(runtime: Path, log_dir: Path) -> None:
    (runtime / "secret.log").write_text("secret\n")

    assert linodmgr(runtime, "logs", "../secret").returncode == 2
    assert linodmgr(runtime, "logs", "_daemon").returncode == 2


def test_no_logs_at_all_are_told(runtime: Path) -> None:
    done = linodmgr(configure(runtime), "logs")

    assert done.stderr.endswith("/log: has a site been started yet?\n")
    assert done.returncode == 1


@pytest.mark.root
def test_who_may_not_read_is_told_so(log_dir: Path, user: pwd.struct_passwd) -> None:
    (log_dir / "noi.log").chmod(0o600)
    os.seteuid(user.pw_uid)
    try:
        with pytest.raises(LinodmgrError) as caught:
            logs._opened(log_dir, ["noi"], alone=True)
    finally:
        os.seteuid(0)

    assert str(caught.value) == f"cannot read {log_dir / 'noi.log'}: no permission: become root"


@pytest.fixture
def followed(runtime: Path, log_dir: Path) -> Iterator[list[bytes]]:
    """The lines that ``logs -f -n 1`` has printed so far."""
    seen: list[bytes] = []
    with running(runtime, ["logs", "-f", "-n", "1"]) as process:
        assert process.stdout is not None
        reader = Thread(target=seen.extend, args=(process.stdout,))
        reader.start()
        eventually(lambda: len(seen) == 2, "the last lines are shown")
        del seen[:]
        yield seen
        process.kill()
        reader.join()


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_what_is_written_later_follows(followed: list[bytes], log_dir: Path) -> None:
    append(log_dir / "noi.log", b"one\nt")
    eventually(lambda: followed == [b"noi  | one\n"], "one line has come")
    append(log_dir / "noi.log", b"wo\n")

    eventually(lambda: followed == [b"noi  | one\n", b"noi  | two\n"], "the other line has come whole")


def test_a_log_that_was_cut_goes_on_from_its_beginning(followed: list[bytes], log_dir: Path) -> None:
    (log_dir / "noi.log").write_bytes(b"anew\n")

    eventually(lambda: followed == [b"noi  | anew\n"], "the new beginning is shown")


def test_a_log_that_was_replaced_is_followed_to_the_new_file(followed: list[bytes], log_dir: Path) -> None:
    append(log_dir / "noi.log", b"last\n")
    (log_dir / "noi.log").rename(log_dir / "noi.log.1")
    append(log_dir / "noi.log", b"first\n")

    eventually(lambda: followed == [b"noi  | last\n", b"noi  | first\n"], "both files are shown")


def test_a_site_that_starts_later_is_followed_too(followed: list[bytes], log_dir: Path) -> None:
    append(log_dir / "amici.log", b"hello\n")

    eventually(lambda: followed == [b"amici | hello\n"], "the new site is shown")


def test_following_ends_when_nobody_reads_any_more(runtime: Path, log_dir: Path) -> None:
    with running(runtime, ["logs", "-f"]) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()

        assert process.stderr.read() == b""
        process.wait(timeout=30)


def test_last_lines_are_found_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * BLOCK + b"\n" + b"y" * (2 * BLOCK) + b"\nz")

    assert LogFile(path).last(2, unfinished=True) == [b"y" * (2 * BLOCK), b"z"]
    assert LogFile(path).last(0, unfinished=True) == []
    assert LogFile(path).last(9, unfinished=False) == [b"x" * BLOCK, b"y" * (2 * BLOCK)]


def test_a_line_without_end_is_shown_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    log = LogFile(path)
    path.write_bytes(b"x" * (3 * BLOCK))

    assert b"".join(log.news()).startswith(b"x" * BLOCK)


@pytest.mark.parametrize("is_open", [False, True])
def test_a_log_that_is_a_pipe_is_not_waited_for(runtime: Path, log_dir: Path, is_open: bool) -> None:
    path = log_dir / "noi.log"
    path.unlink()
    os.mkfifo(path)
    with open(path, "r+b", buffering=0) if is_open else contextlib.nullcontext():
        done = linodmgr(runtime, "logs", "noi")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"linodmgr: cannot read {path}: it is not a file\n"


def test_a_log_that_is_replaced_by_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "noi.log"
    path.write_bytes(b"before\n")
    log = LogFile(path)
    path.unlink()
    path.mkdir()

    with pytest.raises(LinodmgrError, match=rf"^cannot read {path}: is a directory$"):
        log.news()
