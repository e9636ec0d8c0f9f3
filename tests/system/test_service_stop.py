"""linodmgr.service ends: in order, without loss, and without anything left behind."""

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


def test_a_daemon_that_died_comes_back_once_its_workers_have_ended_their_jobs(service: Service) -> None:
    service.configure(waiting(service, "idle") + busy(service, "one", FUNCTION))
    begun(service, "one")
    before = service.site("one")["pid"]

    service.systemctl("kill", "--kill-whom=main", "--signal=KILL")
    service.eventually(lambda: service.shows("ActiveState") == "deactivating", "systemd has seen it")
    service.eventually(lambda: service.processes() == [before], "only the busy worker is left")
    let_go(service, "one")
    service.eventually(lambda: service.shows("ActiveState") == "active", "the next daemon has started")

    after = service.until("one", "RUNNING")["pid"]
    service.until("idle", "RUNNING")
    assert after != before
    assert told(service, "one")[:2] == ["begins", "ends"]
    assert len(service.processes()) == 3, "a daemon and two workers"
    assert service.shows("NRestarts") == "1"


def test_a_worker_that_died_is_no_business_of_systemd(service: Service) -> None:
    service.configure(waiting(service, "one"))
    service.linodmgr("start")
    before = service.site("one")["pid"]

    service.machine.run("sh", "-c", f"kill -KILL {before}")

    service.eventually(lambda: service.site("one")["pid"] not in (None, before), "there is a new worker")
    assert service.shows("ActiveState") == "active"
    assert service.shows("NRestarts") == "0"
