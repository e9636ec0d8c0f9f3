"""A worker's output in its file: whose it is, what is in it, and what happens when it cannot be written."""

import os
import pwd
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.core.states import Remedy
from linodmgr.daemon.logs import TAIL_BYTES
from linodmgr.daemon.spawning import SpawnError
from linodmgr.protocol import Start
from tests.real.asking import done, pid_of, stop, until
from tests.real.daemon_fixture import Daemon
from tests.real.log_desk import LogDesk, log_desk
from tests.real.worker_sites import make_worker, site

NOBODY = 65534


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[LogDesk]:
    with log_desk(tmp_path, log_time=False) as desk:
        yield desk


def write(logs: LogDesk, text: bytes) -> None:
    with logs.worker() as output:
        os.write(output, text)


def test_output_is_appended(logs: LogDesk) -> None:
    write(logs, b"first\n")
    write(logs, b"second\n")

    assert logs.text() == b"first\nsecond\n"


def test_the_tail_is_what_the_latest_start_has_said(logs: LogDesk) -> None:
    write(logs, b"old\n")
    write(logs, b"new\xff\nno end")

    assert logs.tail("one") == ["new\ufffd", "no end"]
    assert logs.tail("one", lines=1) == ["no end"]


def test_the_tail_is_short_whatever_is_said(logs: LogDesk) -> None:
    write(logs, b"x" * 1_000_000)

    assert [len(line) for line in logs.tail("one")] == [TAIL_BYTES]


def test_there_is_no_tail_of_what_was_never_started_or_is_no_longer_there(
    logs: LogDesk, tmp_path: Path
) -> None:
    assert logs.tail("one") == []
    write(logs, b"said\n")
    (tmp_path / "one.log").unlink()
    assert logs.tail("one") == []


def test_a_log_that_was_cut_off_still_has_a_tail(logs: LogDesk, tmp_path: Path) -> None:
    write(logs, b"old\n" * 100)
    write(logs, b"new\n")
    (tmp_path / "one.log").write_text("again\n")

    assert logs.tail("one") in ([], ["again"])


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_log_can_be_read_by_the_group_of_the_site_and_written_by_nobody(
    logs: LogDesk, tmp_path: Path, umask: int
) -> None:
    old = os.umask(umask)
    try:
        write(logs, b"line\n")
    finally:
        os.umask(old)

    assert stat.S_IMODE((tmp_path / "one.log").stat().st_mode) == 0o640


@pytest.mark.root
def test_a_log_belongs_to_root_and_the_group_of_the_site_also_when_that_changes(
    logs: LogDesk, tmp_path: Path
) -> None:
    os.close(logs.open())
    os.close(logs.open(gid=NOBODY))

    found = (tmp_path / "one.log").stat()
    assert (found.st_uid, found.st_gid) == (0, NOBODY)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("link", "it is a symbolic link"),
        ("dangling link", "it is a symbolic link"),
        ("directory", "Is a directory"),
        ("pipe", "it is not a file"),
        ("socket", "it is not a file"),
    ],
)
def test_what_is_no_file_is_not_written_to_and_it_is_said_why(
    logs: LogDesk, tmp_path: Path, kind: str, reason: str
) -> None:
    path, elsewhere = tmp_path / "one.log", tmp_path / "elsewhere"
    match kind:
        case "link":
            elsewhere.touch(0o644)
            path.symlink_to(elsewhere)
        case "dangling link":
            path.symlink_to(elsewhere)
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)

    with pytest.raises(SpawnError, match=f"^cannot open the log '{path}': {reason}$") as refused:
        logs.open()

    assert refused.value.remedy is Remedy.BACKOFF
    assert not elsewhere.exists() or elsewhere.stat().st_size == 0


def test_a_log_directory_that_vanishes_is_said_and_does_no_harm_once_it_is_back(
    daemon: Daemon, runtime: Path
) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid_of(daemon, "one")
    stop(daemon, "one")
    (runtime / "log").rename(runtime / "elsewhere")

    [result] = done(daemon, Start(("one",))).results

    assert (result.state, result.ok) == ("BACKOFF", False)
    assert re.match(
        r"cannot open the log '.*/log/one\.log': No such file or directory, next try", result.reason
    )
    (runtime / "elsewhere").rename(runtime / "log")
    until(daemon, "one", "RUNNING")


@pytest.fixture
def full_disk(runtime: Path) -> Iterator[Path]:
    """A directory for logs where no file can be made. The test must be marked root."""
    place = runtime / "log"
    place.mkdir()
    options = "size=64k,nr_inodes=1,mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.root
@pytest.mark.mounts
def test_a_full_disk_is_said_and_does_no_harm_once_there_is_room(
    full_disk: Path, daemon: Daemon, runtime: Path
) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()

    assert "one.log': No space left on device, next try in" in str(until(daemon, "one", "BACKOFF").reason)
    subprocess.run(["mount", "-o", "remount,nr_inodes=100", str(full_disk)], check=True)
    until(daemon, "one", "RUNNING")


@pytest.mark.root
def test_who_is_in_the_group_of_the_site_reads_its_log_and_others_do_not(
    daemon: Daemon, user: pwd.struct_passwd, other_user: pwd.struct_passwd, runtime: Path
) -> None:
    project = make_worker(runtime / "one", "waits", python="/usr/bin/python3")
    daemon.configure(site(project, user=user.pw_name))
    daemon.start()
    pid_of(daemon, "one")

    def reads(who: pwd.struct_passwd) -> bool:
        command = ["cat", str(runtime / "log" / "one.log")]
        done = subprocess.run(
            command, user=who.pw_uid, group=who.pw_gid, extra_groups=(), capture_output=True, check=False
        )
        return done.returncode == 0

    assert reads(user)
    assert not reads(other_user)
