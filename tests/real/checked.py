"""Sites on the disk that ``linodmgr check`` looks at, what it tells, and linods that are in the way."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon

EVERY_HOUR = """\
from linodmgr.linod import schedule_often

@schedule_often(every=3600)
def work():
    pass
"""
US = pwd.getpwuid(os.geteuid()).pw_name


def project_on_disk(directory: Path, owner: pwd.struct_passwd | None = None) -> Path:
    """Make what a site needs on the disk."""
    (directory / "env" / "bin").mkdir(parents=True)
    (directory / "env" / "bin" / "python").symlink_to("/bin/sh")
    (directory / "manage.py").write_text("import signal\nsignal.pause()\n")
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o055)
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    return directory


def site_table(directory: Path, user: str = US, more: str = "") -> str:
    return f'[[site]]\ndirectory = "{directory}"\nuser = "{user}"\n{more}\n'


def held_by(pid: int) -> str:
    """Return how it begins to be told who is in the way."""
    return f"another linod runs for this directory: pid {pid} ("


def told_lines(daemon: Daemon, *arguments: str) -> list[str]:
    """Return what check tells, without the file."""
    told = daemon.cli("check", *arguments, code=78).stdout.splitlines()
    return [line.removeprefix(f"{daemon.config}: ") for line in told]


@contextmanager
def foreign_linod(
    directory: Path,
    fds: Sequence[int] = (),
    python: str = sys.executable,
    owner: pwd.struct_passwd | None = None,
) -> Iterator[int]:
    """Yield the pid of a linod that linodmgr did not start."""
    command = [python, "manage.py", "linod"]
    uid, gid = (owner.pw_uid, owner.pw_gid) if owner else (None, None)
    with subprocess.Popen(command, cwd=directory, pass_fds=fds, user=uid, group=gid) as process:
        try:
            eventually(Path(f"/proc/{process.pid}/cmdline").read_bytes, "it runs")
            yield process.pid
        finally:
            process.kill()
