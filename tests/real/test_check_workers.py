"""``linodmgr check`` tells the workers of the daemon that it is about from those that are in its way."""

from pathlib import Path

import pytest

from tests.real.checked import EVERY_HOUR, site_table, told_lines
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site


@pytest.fixture
def running(daemon: Daemon) -> Daemon:
    """A daemon whose worker runs."""
    daemon.configure(site_table(make_site(daemon.home / "noi", EVERY_HOUR)))
    daemon.start().until("noi", "RUNNING")
    return daemon


def test_the_workers_of_a_running_daemon_are_not_in_the_way(running: Daemon) -> None:
    assert running.cli("check").stdout == "1 site, no problems\n"


def test_a_worker_that_the_next_daemon_takes_over_is_not_in_the_way(running: Daemon) -> None:
    worker = running.site("noi")["pid"]
    running.kill()

    assert running.cli("check").stdout == "1 site, no problems\n"
    assert running.start().until("noi", "RUNNING")["pid"] == worker


def test_a_worker_of_another_daemon_is_named(running: Daemon, runtime: Path) -> None:
    other = Daemon(runtime / "other")
    other.home.mkdir()
    other.configure(site_table(running.home / "noi"))

    (line,) = told_lines(other)

    assert f"another linod runs for this directory: pid {running.site('noi')['pid']} (" in line
