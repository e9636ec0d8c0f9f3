"""linodmgr.service: what a reload takes over, and what a restart and a reboot keep."""

from tests.system.service import Service
from tests.system.sites import waiting


def one_of_two_stopped_by_hand(service: Service) -> None:
    """Start two sites, and stop one of them."""
    service.configure(waiting(service, "one") + waiting(service, "two"))
    service.systemctl("enable", "--now", "--quiet")
    service.until("one", "RUNNING")
    service.linodmgr("stop", "two")


def only_the_other_runs(service: Service) -> None:
    """See that nothing has changed since `one_of_two_stopped_by_hand`."""
    service.until("one", "RUNNING")
    assert service.states() == {"one": "RUNNING", "two": "STOPPED"}
    service.linodmgr("status")


def test_a_reload_takes_over_what_has_changed_and_nothing_else(service: Service) -> None:
    one = waiting(service, "one")
    service.configure(one)
    service.linodmgr("start")
    before = service.site("one")["pid"]

    service.configure(one + waiting(service, "two"))
    service.systemctl("reload")

    service.eventually(lambda: service.states() == {"one": "RUNNING", "two": "RUNNING"}, "both run")
    assert service.site("one")["pid"] == before
    assert service.shows("ActiveState") == "active"


def test_a_reload_of_a_configuration_that_cannot_be_used_changes_nothing(service: Service) -> None:
    service.configure(waiting(service, "one"))
    service.linodmgr("start")
    before = service.site("one")["pid"]

    service.configure("this is not TOML")
    service.systemctl("reload")

    service.eventually(lambda: "the old configuration is kept" in service.said(), "the journal says so")
    service.eventually(lambda: service.shows("ActiveState") == "active", "it serves again")
    assert service.site("one")["pid"] == before


def test_a_site_stopped_by_hand_stays_so_over_a_restart(service: Service) -> None:
    one_of_two_stopped_by_hand(service)

    service.systemctl("restart")

    only_the_other_runs(service)


def test_a_site_stopped_by_hand_stays_so_over_a_reboot(service: Service) -> None:
    one_of_two_stopped_by_hand(service)

    service.machine.shut_down()
    service.machine.boot()

    only_the_other_runs(service)


def test_a_site_stopped_by_hand_stays_so_over_a_power_cut(service: Service) -> None:
    one_of_two_stopped_by_hand(service)

    service.machine.cut_power()
    service.machine.boot()

    only_the_other_runs(service)


def test_a_site_started_again_by_hand_runs_after_a_reboot(service: Service) -> None:
    one_of_two_stopped_by_hand(service)
    service.linodmgr("start", "two")

    service.machine.shut_down()
    service.machine.boot()

    service.eventually(lambda: service.states() == {"one": "RUNNING", "two": "RUNNING"}, "both run")
