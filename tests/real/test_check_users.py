"""``linodmgr check`` where sites have users of their own, by root and by those who are not root."""

import os
import pwd
import subprocess

import pytest

from tests.real.checked import EVERY_HOUR, foreign_linod, project_on_disk, site_table, told_lines
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site, python_for_all


@pytest.mark.root
def test_a_python_is_run_as_the_user_of_its_site(
    daemon: Daemon, user: pwd.struct_passwd, other_user: pwd.struct_passwd
) -> None:
    for name, owner in (("noi", user), ("voga", other_user)):
        python = project_on_disk(daemon.home / name, owner) / "env/bin/python"
        python.unlink()
        python.write_text(f"#!/bin/sh\n[ $(id -u) = {user.pw_uid} ]\n")
        python.chmod(0o755)
    daemon.configure(
        site_table(daemon.home / "noi", user.pw_name) + site_table(daemon.home / "voga", other_user.pw_name)
    )

    assert told_lines(daemon) == [f"site.voga.venv: '{daemon.home}/voga/env/bin/python' cannot be run"]


@pytest.mark.root
def test_each_site_is_looked_at_as_its_own_user(
    daemon: Daemon, user: pwd.struct_passwd, other_user: pwd.struct_passwd
) -> None:
    project_on_disk(daemon.home / "good", user)
    locked = project_on_disk(daemon.home / "locked", other_user)
    (locked / "manage.py").chmod(0o600)
    (locked / "env" / "bin" / "python").unlink()
    (locked / "env" / "bin" / "python").write_text("")
    closed = project_on_disk(daemon.home / "closed" / "inner", user)
    closed.parent.chmod(0o700)
    os.chown(closed.parent, other_user.pw_uid, other_user.pw_gid)
    own = project_on_disk(daemon.home / "own", other_user)
    own.chmod(0o700)
    me, other = user.pw_name, other_user.pw_name
    daemon.configure(
        site_table(daemon.home / "good", me)
        + site_table(locked, me)
        + site_table(closed, me)
        + site_table(own, me)
        + site_table(own.with_name("unknown"), "no-such-user")
    )

    assert told_lines(daemon) == [
        f"site.locked.venv: '{locked}/env/bin/python' is not a program that user {me!r} may run",
        f"site.locked.manage: '{locked}/manage.py' is not a file that user {me!r} may read",
        f"site.inner.directory: '{closed}' is behind a directory that user {me!r} may not enter",
        f"site.own.directory: '{own}' may not be entered by user {me!r}",
        "site.unknown.user: there is no user 'no-such-user'",
    ]

    daemon.configure(site_table(own, other) + site_table(daemon.home / "good", me))
    assert daemon.cli("check").stdout == "2 sites, no problems\n"


def _as_user(user: pwd.struct_passwd, program: str, daemon: Daemon) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "--config", str(daemon.config), "check"],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        env={"HOME": user.pw_dir, "XDG_RUNTIME_DIR": user.pw_dir, "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.root
def test_who_is_not_root_hears_no_problems_of_what_only_root_can_see(
    daemon: Daemon, user: pwd.struct_passwd, other_user: pwd.struct_passwd, public_linodmgr: str
) -> None:
    ours = project_on_disk(daemon.home / "ours", user)
    theirs = project_on_disk(daemon.home / "theirs", other_user)
    hidden = project_on_disk(daemon.home / "hidden", other_user)
    hidden.chmod(0o700)
    (daemon.home / "run").mkdir(mode=0o755)
    daemon.configure(
        site_table(ours, user.pw_name)
        + site_table(theirs, other_user.pw_name)
        + f'[[site]]\ndirectory = "{hidden}"\n'
    )

    done = _as_user(user, public_linodmgr, daemon)

    assert done.stdout == "3 sites, no problems\n"
    assert done.stderr == "2 sites run as other users: only root can look at their files\n"
    assert done.returncode == 0

    (ours / "manage.py").unlink()
    done = _as_user(user, public_linodmgr, daemon)
    assert done.stdout == f"{daemon.config}: site.ours.manage: '{ours}/manage.py' does not exist\n"


@pytest.mark.root
def test_who_may_not_see_the_locks_knows_the_workers_of_a_daemon(
    daemon: Daemon, user: pwd.struct_passwd, public_linodmgr: str
) -> None:
    project = make_site(daemon.home / "noi", EVERY_HOUR, python=python_for_all(daemon.home))
    for path in (project, *project.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    daemon.configure(site_table(project, user.pw_name))
    daemon.start().until("noi", "RUNNING")

    assert _as_user(user, public_linodmgr, daemon).stdout == "1 site, no problems\n"

    (project / "manage.py").write_text("import signal\nsignal.pause()\n")
    with foreign_linod(project, python="/usr/bin/python3", owner=user) as stranger:
        assert f": pid {stranger} (" in _as_user(user, public_linodmgr, daemon).stdout
