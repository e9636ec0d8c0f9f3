"""A site's user may hold up the worker before it executes, and nobody but that site has to wait."""

import os
import pwd
import signal
from pathlib import Path

import psutil
import pytest

from linodmgr import listmode
from linodmgr.core.site import Identity, Site
from linodmgr.launch import lay_out
from linodmgr.listmode import NoListing
from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.holders import held, traced
from tests.real.worker_sites import site

pytestmark = pytest.mark.root


def write_program(directory: Path, text: str) -> Path:
    """Return the program of a site, which is now ``text``."""
    program = directory / "env" / "bin" / "python"
    program.parent.mkdir(parents=True)
    (directory / "manage.py").touch()
    program.write_text(text)
    program.chmod(0o755)
    return program


@pytest.fixture
def python(daemon: Daemon, runtime: Path, user: pwd.struct_passwd) -> Path:
    """The program of ``noi``, a site of ``user`` which is stopped as yet, as ``mib`` is, a site of ours."""
    for name in ("noi", "mib"):
        write_program(runtime / name, "#!/bin/sh\nexec sleep 100000\n")
    daemon.configure(
        site(runtime / "noi", user=user.pw_name, settle=0.1, stop_timeout=0.2)
        + site(runtime / "mib", settle=0.1)
    )
    daemon.start()
    for name in ("noi", "mib"):
        daemon.until(name, "RUNNING")
    daemon.cli("stop", "--now")
    return runtime / "noi" / "env" / "bin" / "python"


def has_executed(daemon: Daemon) -> bool:
    """Whether the process of ``noi`` is what its user has made it."""
    return not psutil.Process(daemon.site("noi")["pid"]).cmdline()[-2].endswith("spare_process.py")


def test_a_lease_on_its_python_holds_up_that_site_alone(
    daemon: Daemon, python: Path, user: pwd.struct_passwd
) -> None:
    with held(python, user.pw_uid) as holder:
        daemon.cli("start", "noi")
        holder.says("somebody waits")
        daemon.cli("start", "mib")

        assert daemon.until("mib", "RUNNING")
        assert not has_executed(daemon)
        holder.let_go()

        eventually(lambda: has_executed(daemon), "it executes")
        daemon.until("noi", "RUNNING")


def test_a_worker_that_was_stopped_before_it_executes_holds_up_that_site_alone(
    daemon: Daemon, python: Path, user: pwd.struct_passwd
) -> None:
    with held(python, user.pw_uid, "stop") as holder:
        daemon.cli("start", "noi")
        holder.says("somebody waits")
        daemon.cli("start", "mib")

        assert daemon.until("mib", "RUNNING")
        assert not has_executed(daemon)
        assert psutil.Process(daemon.site("noi")["pid"]).status() == psutil.STATUS_STOPPED
        holder.let_go()
        daemon.cli("stop", "noi")

        assert daemon.site("noi")["state"] == "STOPPED"


def test_what_is_held_up_and_cannot_be_executed_then_says_so_in_the_log(
    daemon: Daemon, python: Path, user: pwd.struct_passwd
) -> None:
    python.write_bytes(b"\0")
    with held(python, user.pw_uid) as holder:
        daemon.cli("start", "noi")
        holder.says("somebody waits")
        eventually(lambda: daemon.site("noi")["pid"], "it was started")
        holder.let_go()

    words = f"cannot execute '{python}': Exec format error\n"
    eventually(lambda: words in daemon.log("noi"), "the reason is in the log")
    daemon.cli("stop", "--now", "noi")


@pytest.mark.usefixtures("python")
def test_a_worker_whose_end_its_tracer_keeps_to_itself_holds_up_nobody(daemon: Daemon) -> None:
    daemon.cli("start", "noi")
    pid = daemon.until("noi", "RUNNING")["pid"]
    with traced(pid):
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: daemon.site("noi")["pid"] not in (None, pid), "it was started again")

        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    eventually(lambda: not psutil.pid_exists(pid), "it was reaped")


def listing_of(runtime: Path, user: pwd.struct_passwd) -> bytes:
    """Return what the list mode of ``noi``, a site of ``user``, prints. Raises NoListing."""
    who = Identity(user.pw_name, user.pw_uid, user.pw_gid, (), user.pw_dir, user.pw_shell)
    noi = Site(name="noi", directory=str(runtime / "noi"), identity=who)
    cancelled = os.eventfd(0)
    try:
        return listmode.print_of(noi, lay_out(runtime), 1.0, cancelled)
    finally:
        os.close(cancelled)


@pytest.mark.parametrize("then", ["", "stop"])
def test_a_listing_that_is_held_up_ends_in_time(runtime: Path, user: pwd.struct_passwd, then: str) -> None:
    python = write_program(runtime / "noi", "#!/bin/sh\nexit 3\n")

    with held(python, user.pw_uid, then), pytest.raises(NoListing, match=r"did not answer within 1 s"):
        listing_of(runtime, user)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/bin/sh\nid -un\n", ""),
        ("#!/bin/sh\necho why >&2\nexit 3\n", "exited with status 3: why"),
        ("#!/nonexistent\n", "cannot run .*/noi/env/bin/python: what it needs does not exist"),
        ("", "no virtualenv: .*/noi/env/bin/python does not exist"),
        ("\0", "cannot run .*/noi/env/bin/python: Exec format error"),
    ],
)
def test_another_users_listing_is_told_or_why_there_is_none(
    runtime: Path, user: pwd.struct_passwd, text: str, reason: str
) -> None:
    python = write_program(runtime / "noi", text)
    if not text:
        python.unlink()

    if reason:
        with pytest.raises(NoListing, match=reason):
            listing_of(runtime, user)
    else:
        assert listing_of(runtime, user).decode().split()[0] == user.pw_name
