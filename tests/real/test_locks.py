"""Two linods for one project never run under linodmgr: who is in the way is named, and waited for."""

import os
import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from linodmgr.birth import boot
from linodmgr.daemon.keep import Locks
from linodmgr.daemon.spawning import SpawnError
from tests.eventually import eventually
from tests.real.asking import pid_of, ready, sites, stop, until
from tests.real.checked import held_by
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site

FORKS_AND_DIES = """\
import os, signal
child = os.fork()
if not child:
    os.setsid()
    while True:
        signal.pause()
while os.getsid(child) != child:
    pass  # else it is still in our group, and ends with us
with open("child.part", "w") as file:
    print(child, file=file)
os.rename("child.part", "child")
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
WRITES_INTO_IT = """\
import os, signal
fds = "/proc/self/fd"
[lock] = [int(fd) for fd in os.listdir(fds) if "/locks/" in os.path.realpath(f"{fds}/{fd}")]
try:
    os.write(lock, b"999999 1 x /home/somebody")
except OSError as error:
    print(error, flush=True)
signal.pause()
"""


@pytest.fixture
def one(runtime: Path) -> Path:
    return make_worker(runtime / "one", "waits")


def since_of(daemon: Daemon, name: str) -> datetime:
    return datetime.fromisoformat(str(daemon.site(name)["since"]).replace("Z", "+00:00"))


def taken(locks: Locks, project: Path, holder: int) -> bool:
    """Whether the lock is free now; if not, that must be because of ``holder``."""
    try:
        os.close(locks.take(str(project)))
    except SpawnError as error:
        if error.in_the_way != (holder,):
            raise
        return False
    return True


def test_a_second_daemon_refuses_and_disturbs_nothing(daemon: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")

    second = daemon.cli("start", "--foreground", code=1)

    where = daemon.home / "run"
    assert second.stderr == (
        f"linodmgr: cannot start the daemon: another one (pid {daemon.pid}) serves '{where}'\n"
    )
    assert sites(daemon)["one"].pid == pid


def test_another_daemon_waits_for_the_worker_of_the_first(daemon: Daemon, other: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")
    other.configure(site(one, name="same", backoff_max=1000))
    other.start()

    assert held_by(pid) in str(until(other, "same", "BLOCKED").reason)
    stop(daemon, "one")
    until(other, "same", "RUNNING")


def test_the_first_daemon_waits_for_the_worker_of_the_second(
    daemon: Daemon, other: Daemon, one: Path
) -> None:
    daemon.configure(site(one, backoff_max=1000))
    daemon.start()
    pid_of(daemon, "one")
    stop(daemon, "one")
    other.configure(site(one))
    other.start()
    pid = pid_of(other, "one")

    blocked = daemon.cli("start", "one", code=1)

    assert held_by(pid) in blocked.stdout
    assert other.stop() == 0
    until(daemon, "one", "RUNNING")


def test_a_lock_that_is_held_is_told_with_who_holds_it_since_when_and_who_started_that(
    daemon: Daemon, other: Daemon, one: Path
) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")
    since = since_of(daemon, "one")
    other.configure(site(one))
    other.start()

    reason = str(until(other, "one", "BLOCKED").reason)

    told = re.fullmatch(
        rf"another linod runs for this directory: pid {pid} \((.*)\), since (.*), started by (.*)"
        r", next try in \d+ s",
        reason,
    )
    assert told, reason
    assert "/runner.py" in told[1]
    assert abs(datetime.fromisoformat(told[2]).astimezone() - since) < timedelta(seconds=5)
    assert told[3].endswith(f"(pid {daemon.pid})")


def test_a_stop_says_who_goes_on_for_the_directory(daemon: Daemon, other: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")
    other.configure(site(one))
    other.start()
    until(other, "one", "BLOCKED")

    said = other.cli("stop", "one", code=1).stdout

    assert said.startswith("one: STOPPED: ")
    assert held_by(pid) in said
    stop(daemon, "one")
    eventually(lambda: until(other, "one", "STOPPED").reason is None, "it has ended")


def test_a_daemon_that_stops_leaves_alone_whom_it_waits_for(daemon: Daemon, other: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")
    other.configure(site(one))
    other.start()
    until(other, "one", "BLOCKED")

    assert other.stop() == 0

    assert sites(daemon)["one"].pid == pid


def test_a_job_that_closes_all_descriptors_does_not_free_the_lock(
    daemon: Daemon, other: Daemon, runtime: Path
) -> None:
    one = make_worker(runtime / "one", "closes_all")
    daemon.configure(site(one))
    daemon.start()
    pid = ready(daemon, "one")
    other.configure(site(one))
    other.start()

    assert held_by(pid) in str(until(other, "one", "BLOCKED").reason)
    assert held_by(pid) in other.cli("start", "one", code=1).stdout


def test_a_directory_that_was_moved_has_the_same_lock(daemon: Daemon, other: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")
    one.rename(one.with_name("moved"))
    other.configure(site(one.with_name("moved")))
    other.start()

    assert held_by(pid) in str(until(other, "moved", "BLOCKED").reason)


@pytest.mark.parametrize("more", ["", "import os; os.closerange(3, 4096)\n"], ids=["holds", "closes_all"])
def test_an_entry_that_was_renamed_waits_for_the_worker_of_the_old_name(
    daemon: Daemon, runtime: Path, more: str
) -> None:
    one = make_worker(runtime / "one", "ignores_term")
    manage = one / "manage.py"
    manage.write_text(more + manage.read_text())
    daemon.configure(site(one, stop_timeout=0.5))
    daemon.start()
    old = ready(daemon, "one")
    daemon.configure(site(one, name="same", stop_timeout=0.5))

    daemon.cli("reload")

    assert pid_of(daemon, "same") != old
    assert f"same: BLOCKED: {held_by(old)}" in daemon.said()
    assert f"one: killing pid {old}" in daemon.said()


def test_a_holder_that_ends_while_it_is_looked_for_is_in_nobodys_way(tmp_path: Path) -> None:
    locks = Locks(tmp_path)
    for _ in range(20):
        lock = locks.take(str(tmp_path))
        with subprocess.Popen(["sleep", "1000"], pass_fds=(lock,)) as holder:
            os.close(lock)
            holder.kill()
            eventually(lambda: taken(locks, tmp_path, holder.pid), "it is free")


def test_a_child_that_holds_the_lock_of_a_dead_worker_is_named_and_ended(daemon: Daemon, one: Path) -> None:
    (one / "manage.py").write_text(FORKS_AND_DIES)
    daemon.configure(site(one))
    daemon.start()
    child = eventually(lambda: (one / "child").exists() and (one / "child").read_text().strip(), "it forks")
    (one / "manage.py").write_text("import signal\nsignal.pause()\n")

    until(daemon, "one", "RUNNING")

    assert f"one: ending what its worker left behind: pid {child} (" in daemon.said()
    assert not Path(f"/proc/{child}").exists()


def test_a_worker_cannot_write_into_its_lock(daemon: Daemon, one: Path) -> None:
    (one / "manage.py").write_text(WRITES_INTO_IT)
    daemon.configure(site(one))
    daemon.start()
    pid_of(daemon, "one")

    eventually(lambda: "Bad file descriptor" in daemon.log("one"), "it has tried")


@pytest.mark.parametrize("kind", ["pipe", "nonsense"])
def test_a_group_that_cannot_be_one_is_not_looked_at(tmp_path: Path, kind: str) -> None:
    locks = Locks(tmp_path)
    fake = tmp_path / f"w-{'0' * 24}"
    fake.mkdir()
    if kind == "pipe":
        os.mkfifo(fake / "cgroup.events")
    else:
        (fake / "cgroup.events").write_text("populated 1\n")
        (fake / "cgroup.procs").write_text("abc\n")
    where = tmp_path.stat()
    (tmp_path / f"{where.st_dev}-{where.st_ino}").write_text(f"999999999 1 {boot()} {fake}\n")

    os.close(locks.take(str(tmp_path)))
