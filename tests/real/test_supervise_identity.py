"""What a worker sees of itself: user, groups, umask, environment, directory, descriptors."""

import grp
import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.users import new_group
from tests.real.worker_sites import make_worker, site

PYTHON = "/usr/bin/python3"  # every user may run it


def seen_by(project: Path) -> dict[str, Any]:
    """Return what the worker in ``project`` has seen of itself."""
    eventually((project / "seen.json").exists, "the worker has looked at itself")
    seen: dict[str, Any] = json.loads((project / "seen.json").read_text())
    return seen


def test_a_worker_is_started_from_scratch(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "shows_itself", PYTHON)
    daemon.configure(site(project, umask="027", environment={"LANG": "de_DE.UTF-8", "OF_THE_SITE": "yes"}))
    daemon.start(environment={"OF_THE_DAEMON": "a secret"})

    seen = seen_by(project)

    who = pwd.getpwuid(os.geteuid())
    assert seen["umask"] == 0o027
    assert seen["directory"] == str(project)
    assert seen["session"]
    assert seen["blocked"] == []
    assert set(seen["ignored"]) <= {"SIGPIPE", "SIGXFSZ"}  # Python's own habit
    environment = seen["environment"]
    assert "OF_THE_DAEMON" not in environment
    assert environment["OF_THE_SITE"] == "yes"
    assert environment["LANG"] == "de_DE.UTF-8"
    assert environment["VIRTUAL_ENV"] == f"{project}/env"
    assert environment["PATH"].startswith(f"{project}/env/bin:")
    assert (environment["HOME"], environment["USER"], environment["LOGNAME"]) == (
        who.pw_dir,
        who.pw_name,
        who.pw_name,
    )


def test_a_worker_has_only_the_descriptors_that_are_meant_for_it(daemon: Daemon, runtime: Path) -> None:
    inherited = os.open(runtime, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        project = make_worker(runtime / "one", "shows_itself", PYTHON)
        daemon.configure(site(project))
        daemon.start()
        descriptors = dict(seen_by(project)["descriptors"])
    finally:
        os.close(inherited)

    assert descriptors.pop("0") == "/dev/null"
    for number in ("1", "2"):
        assert descriptors.pop(number) == f"{runtime}/run/output/one"
    locks = [target for target in descriptors.values() if "/locks/" in target]
    sockets = [target for target in descriptors.values() if target.startswith("socket:")]
    assert len(locks) == 1, "the site's lock"
    assert len(sockets) <= 1, "the way to the daemon"
    assert len(descriptors) <= 2, descriptors


@pytest.mark.root
def test_two_sites_run_as_two_users_with_their_groups(
    daemon: Daemon, runtime: Path, user: pwd.struct_passwd, other_user: pwd.struct_passwd
) -> None:
    with new_group(user.pw_name) as extra:
        text = ""
        for owner, name in ((user, "one"), (other_user, "two")):
            project = make_worker(runtime / name, "shows_itself", PYTHON)
            os.chown(project, owner.pw_uid, owner.pw_gid)
            text += site(project, user=owner.pw_name)
        daemon.configure(text)
        daemon.start()

        for owner, name, groups in ((user, "one", {extra.gr_gid}), (other_user, "two", set())):
            seen = seen_by(runtime / name)
            assert seen["uid"] == [owner.pw_uid] * 3
            assert seen["gid"] == [owner.pw_gid] * 3
            assert set(seen["groups"]) - {owner.pw_gid} == groups
            assert seen["environment"]["HOME"] == owner.pw_dir
            assert seen["environment"]["USER"] == owner.pw_name
            assert (runtime / name / "seen.json").stat().st_uid == owner.pw_uid
            assert daemon.until(name, "RUNNING")["user"] == owner.pw_name


@pytest.mark.root
def test_a_site_may_have_another_group(daemon: Daemon, runtime: Path, user: pwd.struct_passwd) -> None:
    with new_group() as group:
        project = make_worker(runtime / "one", "shows_itself", PYTHON)
        os.chown(project, user.pw_uid, user.pw_gid)
        daemon.configure(site(project, user=user.pw_name, group=group.gr_name))
        daemon.start()

        assert seen_by(project)["gid"] == [group.gr_gid] * 3


@pytest.mark.root
def test_one_user_cannot_write_into_the_project_of_another(
    daemon: Daemon, runtime: Path, user: pwd.struct_passwd, other_user: pwd.struct_passwd
) -> None:
    project = make_worker(runtime / "one", "shows_itself", PYTHON)
    os.chown(project, user.pw_uid, user.pw_gid)
    daemon.configure(site(project, user=other_user.pw_name))
    daemon.start()

    assert daemon.until("one", "BACKOFF")["user"] == other_user.pw_name
    assert "Permission denied" in daemon.log("one")


@pytest.mark.root
def test_members_of_the_group_may_control_and_others_may_not(
    daemon: Daemon,
    runtime: Path,
    user: pwd.struct_passwd,
    other_user: pwd.struct_passwd,
    public_linodmgr: str,
) -> None:
    with new_group(user.pw_name) as group:
        daemon.configure(
            site(make_worker(runtime / "one", "waits", PYTHON)), daemon=f'group = "{group.gr_name}"'
        )
        daemon.start()

        assert _as(user, public_linodmgr, daemon.config, "stop", "one").returncode == 0
        refused = _as(other_user, public_linodmgr, daemon.config, "start", "one")

    assert refused.returncode == 1
    assert "permission" in refused.stderr
    assert daemon.site("one")["state"] == "STOPPED"


def _as(
    who: pwd.struct_passwd, program: str, config: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    groups = [group.gr_gid for group in grp.getgrall() if who.pw_name in group.gr_mem]
    return subprocess.run(
        [program, *arguments],
        user=who.pw_uid,
        group=who.pw_gid,
        extra_groups=groups,
        env={"LINODMGR_CONFIG": str(config), "HOME": who.pw_dir, "LANG": "C.UTF-8"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
