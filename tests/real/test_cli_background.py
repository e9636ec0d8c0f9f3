"""``linodmgr start`` without a daemon, and ``stop --daemon``: a real daemon that goes into the background."""

import json
import os
import pwd
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from linodmgr.cli import background
from linodmgr.errors import LinodmgrError
from linodmgr.places import SYSTEM_CONFIG
from tests.eventually import eventually
from tests.fake_daemon import CONFIG, linodmgr, running

WORKERS = Path(__file__).parent.parent / "workers"
SITE = """
[[site]]
directory = "{name}"
user = "{user}"
settle = 0.1
"""


def add_site(home: Path, name: str, worker: str = "waits.py") -> None:
    """Add a site whose Python is one of the test workers."""
    python = home / name / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nexec /usr/bin/python3 {WORKERS / worker}\n")
    python.chmod(0o755)
    (home / name / "manage.py").touch()
    with (home / "sites.toml").open("a") as config:
        config.write(SITE.format(name=name, user=os.environ.get("USER", "root")))


@pytest.fixture
def home(runtime: Path) -> Iterator[Path]:
    """A place with a configuration; what was started there is stopped at the end."""
    (runtime / "sites.toml").write_text(CONFIG)
    yield runtime
    linodmgr(runtime, "stop", "--daemon")


def is_alive(pid: int) -> bool:
    """Whether a process still does something; one that has ended may wait to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def daemon_pid(home: Path) -> int | None:
    """Return the pid of the running daemon."""
    said: dict[str, int | None] = json.loads(linodmgr(home, "status", "--json").stdout)
    return said["pid"]


def test_start_starts_a_daemon_and_its_sites(home: Path) -> None:
    add_site(home, "noi")
    add_site(home, "voga")

    done = linodmgr(home, "start")

    assert [line.split(" (")[0] for line in done.stdout.splitlines()] == ["noi: RUNNING", "voga: RUNNING"]
    assert (done.stderr, done.returncode) == ("", 0)
    assert linodmgr(home, "status").returncode == 0


def test_the_daemon_outlives_its_starter_and_holds_nothing_of_it(home: Path) -> None:
    add_site(home, "noi")
    linodmgr(home, "start")

    pid = daemon_pid(home)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    assert os.getsid(pid or 0) == pid


def test_start_with_a_daemon_starts_no_second_one(home: Path) -> None:
    add_site(home, "noi")
    linodmgr(home, "start")
    pid = daemon_pid(home)

    assert linodmgr(home, "start").returncode == 0
    assert daemon_pid(home) == pid


def test_start_says_why_a_site_is_not_up(home: Path) -> None:
    add_site(home, "noi")
    add_site(home, "voga", "exits.py")

    done = linodmgr(home, "start")

    assert done.stdout.splitlines()[1].startswith("voga: BACKOFF: exited with status 1 after ")
    assert done.stdout.splitlines()[2] == "    ready"
    assert done.returncode == 1


def test_a_configuration_that_cannot_be_used_is_told_and_ends_with_78(home: Path) -> None:
    (home / "sites.toml").write_text('[daemon]\nruntime_dir = "run"\nstate_dir = "state"\nlog_dri = "log"\n')

    done = linodmgr(home, "start")

    assert "log_dri" in done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stdout, done.returncode) == ("", 78)


def test_a_name_that_no_site_has_starts_nothing(home: Path) -> None:
    add_site(home, "noi")

    done = linodmgr(home, "start", "nio")

    assert "'nio'" in done.stderr
    assert done.returncode == 2
    assert daemon_pid(home) is None


def test_several_starts_at_once_start_one_daemon_and_all_that_was_asked_for(home: Path) -> None:
    names = ["noi", "voga", "amici", "weleup"]
    for name in names:
        add_site(home, name)
    linodmgr(home, "start")
    linodmgr(home, "stop")
    linodmgr(home, "stop", "--daemon")

    with ThreadPoolExecutor(len(names)) as pool:
        done = list(pool.map(lambda name: linodmgr(home, "start", name), names))

    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * len(names)
    assert [one.stdout.split(" (")[0] for one in done] == [f"{name}: RUNNING" for name in names]


def test_start_takes_the_place_of_a_daemon_that_was_killed(home: Path) -> None:
    linodmgr(home, "start")
    pid = daemon_pid(home)
    assert pid
    os.kill(pid, 9)
    eventually(lambda: not is_alive(pid), "the daemon is dead")
    assert "left by a daemon that died" in linodmgr(home, "status").stderr

    assert linodmgr(home, "start").returncode == 0
    assert daemon_pid(home) != pid


def test_stop_daemon_returns_when_it_and_its_workers_are_gone(home: Path) -> None:
    add_site(home, "noi")
    linodmgr(home, "start")
    said = json.loads(linodmgr(home, "status", "--json").stdout)
    pids = [said["pid"], said["sites"][0]["pid"]]

    done = linodmgr(home, "stop", "--daemon")

    assert not [pid for pid in pids if is_alive(pid)]
    assert done.stdout.splitlines() == ["noi: STOPPED", "the daemon has ended"]
    assert done.returncode == 0


def test_sites_stopped_by_hand_stay_so_unless_they_are_started(home: Path) -> None:
    add_site(home, "noi")
    add_site(home, "voga")
    linodmgr(home, "start")
    linodmgr(home, "stop", "noi")
    linodmgr(home, "stop", "--daemon")

    assert linodmgr(home, "start", "voga").returncode == 0
    assert linodmgr(home, "status").stdout.splitlines()[1].split()[:2] == ["noi", "STOPPED"]
    assert linodmgr(home, "start").returncode == 0
    assert linodmgr(home, "status").stdout.splitlines()[1].split()[:2] == ["noi", "RUNNING"]


def test_foreground_is_the_daemon_itself(home: Path) -> None:
    add_site(home, "noi")

    with running(home, ["start", "--foreground"]) as process:
        eventually(lambda: daemon_pid(home) == process.pid, "the daemon answers as our child")
        process.terminate()
        assert process.wait(timeout=30) == 0


@pytest.mark.root
def test_only_root_starts_the_daemon_of_the_whole_system(user: pwd.struct_passwd) -> None:
    os.seteuid(user.pw_uid)
    try:
        with pytest.raises(LinodmgrError) as caught:
            background.start(SYSTEM_CONFIG)
    finally:
        os.seteuid(0)

    assert str(caught.value) == (
        "cannot start the daemon of /etc/linodmgr/sites.toml: no permission: become root"
    )


def test_a_daemon_that_ends_without_a_word_is_not_passed_over_in_silence() -> None:
    with pytest.raises(LinodmgrError, match="cannot start the daemon: it was ended by SIGKILL"):
        background._ended(-9, said=True)
    with pytest.raises(LinodmgrError, match="cannot start the daemon: it ended with status 0"):
        background._ended(0, said=False)
