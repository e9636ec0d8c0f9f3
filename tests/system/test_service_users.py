"""linodmgr.service: sites of several users, their files and limits."""

import json
import os
import re
import stat

from tests.system.conftest import USERS
from tests.system.service import Service
from tests.system.sites import waiting


def one_site_each(service: Service) -> dict[str, int]:
    """Run a site of each user; return the pids of the workers."""
    service.configure("".join(waiting(service, user, "shows_itself", user=user) for user in USERS))
    service.systemctl("start")
    return {user: service.until(user, "RUNNING")["pid"] for user in USERS}


def owner(service: Service, path: str) -> tuple[str, str, int]:
    """Return user, group and permissions of a file of the machine."""
    user, group, mode = service.machine.run("stat", "--format=%U %G %a", path).stdout.split()
    return user, group, int(mode, 8)


def test_each_worker_runs_as_its_user_alone(service: Service) -> None:
    pids = one_site_each(service)

    for user in USERS:
        seen = json.loads((service.project(user) / "seen.json").read_text())
        uid = int(service.machine.run("id", "--user", user).stdout)
        assert seen["uid"] == [uid] * 3
        assert seen["environment"]["HOME"] == f"/home/{user}"
        assert "NOTIFY_SOCKET" not in seen["environment"]
        assert "INVOCATION_ID" not in seen["environment"]
        assert owner(service, f"/proc/{pids[user]}")[0] == user


def test_a_log_may_be_read_by_the_group_of_its_site_and_by_nobody_else(service: Service) -> None:
    one_site_each(service)

    for user in USERS:
        assert owner(service, f"/var/log/linodmgr/{user}.log") == ("root", user, 0o640)
    assert "ready" in service.linodmgr("logs", "anna", user="anna").stdout
    service.machine.run("test", "!", "-r", "/var/log/linodmgr/ben.log", user="anna")


def test_each_worker_holds_the_lock_of_its_project(service: Service) -> None:
    pids = one_site_each(service)

    assert owner(service, "/var/lib/linodmgr/locks") == ("root", "root", 0o700)
    for user, pid in pids.items():
        found = service.project(user).stat()
        lock = f"/var/lib/linodmgr/locks/{found.st_dev}-{found.st_ino}"
        held = service.machine.run("find", f"/proc/{pid}/fd", "-lname", lock).stdout.split()
        assert len(held) == 1


def test_the_daemon_may_open_many_files_and_a_site_as_many_as_usual(service: Service) -> None:
    pids = one_site_each(service)

    def limits(pid: int) -> tuple[int, int]:
        line = re.search(r"^Max open files +(\d+) +(\d+)", service.proc(pid, "limits").read_text(), re.M)
        assert line
        return int(line[1]), int(line[2])

    soft, hard = limits(int(service.shows("MainPID")))
    assert soft == hard > 4096
    assert {limits(pid) for pid in pids.values()} == {(1024, hard)}


def test_whoever_is_not_in_the_group_may_not_stop_anything(service: Service) -> None:
    one_site_each(service)

    assert "no permission" in service.linodmgr("stop", "anna", code=1, user="anna").stderr
    assert stat.S_IMODE(os.stat(service.machine.path("/run/linodmgr/control")).st_mode) == 0o660
    assert set(service.states().values()) == {"RUNNING"}
