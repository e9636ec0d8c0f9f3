"""What is wrong with one file of one log does not hide the rest."""

import gzip
from pathlib import Path

import pytest

from linodmgr.cli.logfile import LogFile
from tests.fake_daemon import configure, linodmgr


@pytest.fixture
def log_dir(runtime: Path) -> Path:
    """The directory of the logs, with a configuration that names it."""
    configure(runtime)
    made = runtime / "log"
    made.mkdir()
    return made


def test_an_old_file_that_is_damaged_is_told(runtime: Path, log_dir: Path) -> None:
    (log_dir / "noi.log").write_text("line\n")
    (log_dir / "noi.log.1").write_text("before\n")
    (log_dir / "noi.log.2.gz").write_bytes(gzip.compress(b"older\n")[:-9])

    assert linodmgr(runtime, "logs", "noi", "-n2").stdout == "before\nline\n"
    done = linodmgr(runtime, "logs", "noi")
    assert f"cannot read all of {log_dir}/noi.log.2.gz: it is damaged" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout.endswith("before\nline\n")


def test_a_log_that_cannot_be_read_does_not_hide_others(runtime: Path, log_dir: Path) -> None:
    (log_dir / "noi.log").write_text("line\n")
    (log_dir / "link.log").symlink_to("noi.log")

    done = linodmgr(runtime, "logs")

    assert done.stdout == "noi | line\n"
    assert done.stderr == f"linodmgr: cannot read {log_dir}/link.log: it is a symbolic link\n"
    assert done.returncode == 1
    alone = linodmgr(runtime, "logs", "link")
    assert (alone.stdout, alone.stderr, alone.returncode) == ("", done.stderr, 1)


def test_a_long_line_that_has_an_end_is_shown_whole(tmp_path: Path) -> None:
    path = tmp_path / "noi.log"
    path.touch()
    reader = LogFile(path)
    path.write_text("x" * 200_000 + "\nnext\n")

    assert reader.news() == [b"x" * 200_000, b"next"]
