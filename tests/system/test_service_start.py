"""linodmgr.service: when it counts as started, and what `linodmgr start` does about it."""

import os

from tests.system.machine import Machine
from tests.system.service import Service
from tests.system.sites import waiting

GATE = "/run/gate"


def two_sites(service: Service) -> None:
    """Make two sites that wait for ever."""
    service.configure(waiting(service, "one") + waiting(service, "two"))


def test_the_unit_has_no_mistake(machine: Machine) -> None:
    unit = "/etc/systemd/system/linodmgr.service"
    machine.run("systemd-analyze", "verify", "--recursive-errors=yes", unit)


def test_it_is_active_only_once_the_daemon_answers(service: Service) -> None:
    two_sites(service)
    os.mkfifo(service.machine.path(GATE))
    service.override(
        f"ExecStart=\nExecStart=/bin/sh -c 'read line <{GATE}; exec linodmgr start --foreground'"
    )

    service.systemctl("start", "--no-block")
    service.eventually(lambda: service.shows("ActiveState") == "activating", "it is on its way")
    service.linodmgr("status", code=3)
    service.machine.path(GATE).write_text("go\n")
    service.systemctl("start")

    assert set(service.states()) == {"one", "two"}
    assert service.shows("ActiveState") == "active"


def test_systemctl_status_shows_how_many_sites_run(service: Service) -> None:
    two_sites(service)
    service.systemctl("start")

    service.eventually(lambda: service.shows("StatusText") == "2 sites: 2 RUNNING", "both run")
    service.linodmgr("stop", "one")
    service.eventually(lambda: service.shows("StatusText") == "2 sites: 1 RUNNING, 1 STOPPED", "one runs")


def test_linodmgr_start_starts_the_service_and_waits_for_the_sites(service: Service) -> None:
    two_sites(service)

    told = service.linodmgr("start").stdout

    assert service.states() == {"one": "RUNNING", "two": "RUNNING"}
    assert told.startswith("one: RUNNING (pid ")
    service.systemctl("is-active")
    assert int(service.shows("MainPID")) in service.processes()


def test_status_is_a_health_check(service: Service) -> None:
    two_sites(service)
    assert "is linodmgr.service running?" in service.linodmgr("status", code=3).stderr
    service.linodmgr("start")
    service.linodmgr("status")

    (service.project("two") / "manage.py").unlink()
    service.linodmgr("restart", "two", code=1)

    service.linodmgr("status", code=3)
    service.linodmgr("status", "one")


def test_an_ordinary_user_cannot_start_it(service: Service) -> None:
    two_sites(service)

    refused = service.linodmgr("start", code=1, user="anna")

    assert refused.stderr == (
        "linodmgr: cannot start the daemon of /etc/linodmgr/sites.toml: no permission: become root\n"
    )
    assert service.shows("ActiveState") == "inactive"


def test_a_configuration_that_cannot_be_used_is_not_tried_again(service: Service) -> None:
    service.configure("[daemon]\ngroup = 7\n")

    service.systemctl("start", code=1)

    assert service.shows("ActiveState") == "failed"
    assert service.shows("ExecMainStatus") == "78"
    assert service.shows("NRestarts") == "0"


def test_linodmgr_start_tells_itself_what_is_wrong_with_the_configuration(service: Service) -> None:
    service.configure("[daemon]\ngroup = 7\n")

    told = service.linodmgr("start", code=78).stderr

    assert "daemon.group: " in told
    assert "journalctl" not in told


def test_a_host_that_does_not_let_the_daemon_start_is_tried_until_it_does(service: Service) -> None:
    service.override("RestartSec=10ms")
    two_sites(service)
    config = waiting(service, "one")
    service.configure(f'[daemon]\nlog_dir = "/home/anna"\n{config}')

    assert "journalctl -u linodmgr.service" in service.linodmgr("start", code=1).stderr
    service.eventually(lambda: int(service.shows("NRestarts")) > 5, "it is tried again and again")
    service.configure(config)

    service.eventually(lambda: service.shows("ActiveState") == "active", "the daemon could start at last")
    service.until("one", "RUNNING")
