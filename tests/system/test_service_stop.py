"""linodmgr.service ends: in order, without loss, and without anything left behind."""

from tests.system.debian import UNIT
from tests.system.service import Service
from tests.system.sites import FUNCTION, THREE_SECONDS, busy, let_go, told, waiting


def begun(service: Service, name: str) -> None:
    """Start the service and wait until the job of ``name`` is busy."""
    service.systemctl("start")
    service.eventually(lambda: told(service, name), f"the job of {name} has begun")


def test_a_stop_ends_all_workers_and_what_they_left(service: Service) -> None:
    service.configure(
        waiting(service, "one")
        + waiting(service, "stubborn", "ignores_term", stop_timeout=1)
        + waiting(service, "forks", "forks_away")
    )
    service.systemctl("start")
    service.until("one", "RUNNING")
    service.until("stubborn", "RUNNING")
    service.until("forks", "BACKOFF")

    service.systemctl("stop")

    assert service.processes() == []
    assert service.shows("Result") == "success"
    assert "linodmgr.service" in service.linodmgr("status", code=3).stderr


def test_a_job_and_the_program_that_it_runs_may_finish_before_a_stop(service: Service) -> None:
    service.configure(busy(service, "one"))
    begun(service, "one")

    service.systemctl("stop", "--no-block")
    service.until("one", "STOPPING")
    assert service.shows("ActiveState") == "deactivating"
    let_go(service, "one")
    service.eventually(lambda: service.shows("ActiveState") == "inactive", "it has stopped")

    assert told(service, "one") == ["begins", "ends"]
    assert service.shows("Result") == "success"


def test_systemd_waits_as_long_as_a_site_may_need(service: Service) -> None:
    service.override("TimeoutStopSec=1")
    service.configure(busy(service, "one", THREE_SECONDS, stop_timeout=60))
    begun(service, "one")

    service.systemctl("stop")

    assert told(service, "one") == ["begins", "ends"]
    assert service.shows("Result") == "success"


def test_linodmgr_stop_daemon_ends_the_service_for_good(service: Service) -> None:
    service.configure(waiting(service, "one"))
    service.linodmgr("start")

    service.linodmgr("stop", "--daemon")

    service.eventually(lambda: service.shows("ActiveState") == "inactive", "it has stopped")
    assert service.shows("NRestarts") == "0"
    assert service.processes() == []


def test_a_daemon_that_died_comes_back_and_no_worker_is_lost(service: Service) -> None:
    service.configure(waiting(service, "idle") + busy(service, "one", FUNCTION))
    begun(service, "one")
    service.until("idle", "RUNNING")
    before = {name: service.site(name)["pid"] for name in ("idle", "one")}
    daemon = service.shows("MainPID")

    service.systemctl("kill", "--kill-whom=main", "--signal=KILL")
    service.eventually(lambda: service.shows("MainPID") not in ("0", daemon), "the next daemon has started")
    service.eventually(lambda: service.shows("ActiveState") == "active", "it serves")

    assert {name: service.site(name)["pid"] for name in ("idle", "one")} == before
    let_go(service, "one")
    service.eventually(
        lambda: told(service, "one")[:2] == ["begins", "ends"], "the job ends as if nothing was"
    )
    service.systemctl("stop")
    assert service.processes() == []
    assert service.shows("Result") == "success"


def test_every_worker_has_a_control_group_of_its_own(service: Service) -> None:
    service.configure(waiting(service, "one") + waiting(service, "two", user="anna"))
    service.linodmgr("start")

    groups = {service.proc(service.site(name)["pid"], "cgroup").read_text() for name in ("one", "two")}

    assert len(groups) == 2
    assert all(f"/{UNIT}/w-" in group for group in groups)
