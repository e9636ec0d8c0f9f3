"""Fixtures for tests with a real systemd: one machine for all of them, a service for each."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import debian
from tests.system.machine import Machine
from tests.system.service import PROJECTS, Service

USERS = ("anna", "ben")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this directory; the first one makes the machine."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.system)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A running machine with linodmgr installed and two users."""
    root = debian.root()
    home = Path(tempfile.mkdtemp(prefix="lm-machine-"))
    made = Machine(root, home)
    try:
        made.boot()
        debian.install(made, debian.build_wheel(home))
        for user in USERS:
            made.run("useradd", "--create-home", "--user-group", user)
        yield made
    finally:
        made.scrap()


@pytest.fixture
def service(machine: Machine) -> Iterator[Service]:
    """linodmgr.service, not started, without sites."""
    machine.path(PROJECTS).mkdir(exist_ok=True)
    made = Service(machine)
    yield made
    made.end()
