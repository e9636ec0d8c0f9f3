"""Real users and groups for tests that need more than one; only root can make them."""

import contextlib
import grp
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@contextmanager
def new_user() -> Iterator[pwd.struct_passwd]:
    """Yield a user with a group and a home of its own, and remove all three afterwards."""
    name = f"lmt{secrets.token_hex(4)}"
    home = f"/tmp/lm-home-{name}"
    _run(
        "useradd", "--system", "--user-group", "--create-home", "--home-dir", home, "--shell", "/bin/sh", name
    )
    try:
        yield pwd.getpwnam(name)
    finally:
        _end_processes_of(name)  # userdel refuses while there are any
        _run("userdel", name)
        shutil.rmtree(home, ignore_errors=True)


def _end_processes_of(name: str) -> None:
    left = [process for process in psutil.process_iter(["username"]) if process.info["username"] == name]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=5)


@contextmanager
def new_group(*members: str) -> Iterator[grp.struct_group]:
    """Yield a group with these members, and remove it afterwards."""
    name = f"lmt{secrets.token_hex(4)}"
    _run("groupadd", "--system", name)
    try:
        for member in members:
            _run("usermod", "--append", "--groups", name, member)
        yield grp.getgrnam(name)
    finally:
        _run("groupdel", name)


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program, path=SYSTEM_PATH)
    assert path, f"{program} is not installed"
    # Without this, useradd calls on tools that want a running system bus.
    environment = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "SYSTEMD_OFFLINE": "1"}
    done = subprocess.run(
        [path, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stderr}"
