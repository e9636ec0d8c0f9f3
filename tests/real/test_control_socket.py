"""The control socket of a real daemon: who may talk to it, and what it costs the daemon."""

import grp
import os
import pwd
import random
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from linodmgr.protocol import Reload, Start, Status, Stop, encode
from tests.eventually import eventually
from tests.real.asking import done, pid_of, sites
from tests.real.control_desk import say
from tests.real.daemon_fixture import Daemon
from tests.real.users import new_group
from tests.real.worker_sites import make_worker, site

ASK = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print('let in')"
ROUNDS = 300
GROWTH = 1_000_000  # bytes of memory that are no leak


@pytest.fixture
def group(user: pwd.struct_passwd) -> Iterator[grp.struct_group]:
    """A group whose only member is ``user``. The test must be marked root."""
    with new_group(user.pw_name) as made:
        yield made


def is_let_in(daemon: Daemon, who: pwd.struct_passwd, *groups: int) -> bool:
    """Whether this user may connect to the control socket."""
    asked = subprocess.run(
        ["/usr/bin/python3", "-IS", "-c", ASK, str(daemon.home / "run" / "control")],
        user=who.pw_uid,
        group=who.pw_gid,
        extra_groups=groups,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.stdout == "let in\n" or "PermissionError" in asked.stderr
    return bool(asked.stdout)


def owner(path: Path) -> tuple[int, int, int]:
    """Return mode, user and group as found on disk."""
    found = path.lstat()
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


@pytest.mark.root
def test_without_a_group_only_root_has_control(daemon: Daemon, user: pwd.struct_passwd) -> None:
    daemon.configure("")
    daemon.start()
    usual = next((one.gr_gid for one in grp.getgrall() if one.gr_name == "linodmgr"), 0)

    assert owner(daemon.home / "run" / "control") == (0o660, 0, usual)
    assert owner(daemon.home / "run" / "report") == (0o666, 0, 0)
    assert not is_let_in(daemon, user)


@pytest.mark.root
def test_the_members_of_the_group_have_control_and_nobody_else(
    daemon: Daemon, user: pwd.struct_passwd, other_user: pwd.struct_passwd, group: grp.struct_group
) -> None:
    daemon.configure("", daemon=f'group = "{group.gr_name}"')
    daemon.start()

    assert owner(daemon.home / "run" / "control") == (0o660, 0, group.gr_gid)
    assert is_let_in(daemon, user, group.gr_gid)
    assert not is_let_in(daemon, other_user)


@pytest.mark.root
def test_what_belongs_to_the_daemon_can_be_written_by_nobody_else(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    old = os.umask(0)
    try:
        daemon.start()
    finally:
        os.umask(old)
    pid_of(daemon, "one")

    writable = [
        str(path)
        for name in ("run", "state", "log")
        for path in [runtime / name, *(runtime / name).rglob("*")]
        if path.lstat().st_mode & 0o022 and not path.is_socket()
    ]
    assert writable == []


def test_whatever_clients_do_the_daemon_neither_grows_nor_stops(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid = pid_of(daemon, "one")
    chance = random.Random(1)
    _misbehave(daemon, chance)
    process = psutil.Process(daemon.pid)
    eventually(lambda: sites(daemon)["one"].state == "RUNNING", "it has come to rest")
    descriptors, memory = process.num_fds(), process.memory_info().rss

    for _ in range(3):
        _misbehave(daemon, chance)

    eventually(lambda: process.num_fds() <= descriptors, "all descriptors are given back")
    assert process.memory_info().rss - memory < GROWTH
    assert sites(daemon)["one"].pid == pid
    assert done(daemon, Reload()).lines == ["1 unchanged"]
    assert "Traceback" not in daemon.said()


def _misbehave(daemon: Daemon, chance: random.Random) -> None:
    """Let clients come, say something and go, most of them too early."""
    path = str(daemon.home / "run" / "control")
    said = [
        encode(Status()),
        encode(Start()),
        encode(Reload()),
        encode(Stop(("nobody",))),
        b"[" * 60_000 + b"\n",
        b"x" * 1_000_000,
        b"\0" * 100 + b"\n",
        b'{"type":"sta',
        b"",
    ]
    staying: list[socket.socket] = []
    for _ in range(ROUNDS):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(path)
        say(connection, chance.choice(said))
        match chance.randrange(3):
            case 0:
                connection.close()
            case 1:
                connection.shutdown(socket.SHUT_WR)
                connection.close()
            case _:
                staying.append(connection)
        if len(staying) > chance.randrange(60):
            staying.pop(chance.randrange(len(staying))).close()
    for connection in staying:
        connection.close()
