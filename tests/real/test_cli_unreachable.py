"""The ways in which the daemon cannot be asked: each has its own words and exit code."""

import grp
import os
import pwd
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from linodmgr import protocol
from linodmgr.cli import client
from linodmgr.errors import DaemonNotRunning, LinodmgrError
from linodmgr.protocol import Done, Status
from tests.fake_daemon import configure, fake_daemon, linodmgr


def words(home: Path, text: str) -> str:
    """The message on stderr, with the socket's path as CONTROL."""
    return text.replace(str(home / "run" / "control"), "CONTROL").removesuffix("\n")


def test_no_daemon_is_said_in_one_line_and_ends_with_3(runtime: Path) -> None:
    done = linodmgr(configure(runtime), "status")

    assert words(runtime, done.stderr) == "linodmgr: cannot reach the daemon at CONTROL: is it running?"
    assert (done.stdout, done.returncode) == ("", 3)


def test_the_service_is_named_where_its_socket_is_missing(runtime: Path) -> None:
    error = client._unreachable(client.SERVICE_SOCKET, FileNotFoundError())

    assert str(error) == ("cannot reach the daemon at /run/linodmgr/control: is linodmgr.service running?")


def test_a_socket_that_a_dead_daemon_left_is_told_apart(runtime: Path) -> None:
    (configure(runtime) / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(runtime / "run" / "control"))

    done = linodmgr(runtime, "stop")

    assert words(runtime, done.stderr) == (
        "linodmgr: cannot reach the daemon at CONTROL: "
        "the socket was left by a daemon that died: 'linodmgr start' starts a new one"
    )
    assert done.returncode == 3


@contextmanager
def acting_as(user: pwd.struct_passwd) -> Iterator[None]:
    """Let this process be another user for a moment."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.root
def test_who_may_not_connect_learns_which_group_may(runtime: Path, user: pwd.struct_passwd) -> None:
    with fake_daemon(runtime, Done()):
        control = runtime / "run" / "control"
        os.chown(control, 0, grp.getgrnam("daemon").gr_gid)
        control.chmod(0o660)
        with acting_as(user), pytest.raises(client.NoPermission) as caught:
            list(client.ask(control, Status()))

    assert words(runtime, str(caught.value)) == (
        "cannot reach the daemon at CONTROL: no permission: become root or a member of the group 'daemon'"
    )
    assert caught.value.exit_code == 1


@pytest.mark.root
def test_a_closed_runtime_directory_is_a_matter_of_permission_too(
    runtime: Path, user: pwd.struct_passwd
) -> None:
    with fake_daemon(runtime, Done()):
        (runtime / "run").chmod(0o750)
        with acting_as(user), pytest.raises(client.NoPermission, match=r"become root$"):
            client.connect(runtime / "run" / "control")


def test_a_daemon_of_another_version_is_not_understood(runtime: Path) -> None:
    with fake_daemon(runtime, b'{"type":"panorama"}\n'):
        done = linodmgr(runtime, "status")

    assert words(runtime, done.stderr) == (
        "linodmgr: cannot understand the daemon at CONTROL: "
        "it is of another version than this command: restart it after an upgrade"
    )
    assert (done.stdout, done.returncode) == ("", 1)


def test_a_daemon_that_hangs_up_is_not_taken_for_success(runtime: Path) -> None:
    with fake_daemon(runtime):
        done = linodmgr(runtime, "restart")

    assert words(runtime, done.stderr) == (
        "linodmgr: cannot hear from the daemon at CONTROL: it hung up before it was done"
    )
    assert done.returncode == 1


def test_a_daemon_that_says_nothing_is_not_waited_for_for_ever(runtime: Path) -> None:
    with fake_daemon(runtime, hangs=True), pytest.raises(LinodmgrError, match=re.escape("within 0.01 s")):
        list(client.ask(runtime / "run" / "control", Status(), within=0.01))


def test_a_line_without_end_is_cut_off(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ANSWER_LIMIT", 1000)
    with fake_daemon(runtime, b"x" * 5000, hangs=True), pytest.raises(client.OtherVersion):
        list(client.ask(runtime / "run" / "control", Status()))


def test_a_path_that_is_too_long_for_a_socket_is_told(runtime: Path) -> None:
    with pytest.raises(LinodmgrError, match="AF_UNIX path too long") as caught:
        client.connect(runtime / ("x" * 120))

    assert not isinstance(caught.value, DaemonNotRunning)


def test_the_pid_of_the_daemon_is_known(runtime: Path) -> None:
    with fake_daemon(runtime, Done()), client.connect(runtime / "run" / "control") as connection:
        assert client.pid_of(connection) == os.getpid()
        list(client.converse(connection, runtime, Status(), within=None))
