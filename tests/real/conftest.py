"""Fixtures for tests with real processes: a daemon, users, sites."""

import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import python_for_all
from tests.real.redis_server import redis_server
from tests.real.users import new_user


@pytest.fixture
def daemon(runtime: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet: `configure` it, then `start` it; it is stopped at the end."""
    made = Daemon(runtime)
    yield made
    assert made.stop() == 0, made.said()


@pytest.fixture
def user() -> Iterator[pwd.struct_passwd]:
    """A user made for this test. The test must be marked root."""
    with new_user() as made:
        yield made


@pytest.fixture
def other_user() -> Iterator[pwd.struct_passwd]:
    """A second user made for this test."""
    with new_user() as made:
        yield made


@pytest.fixture(scope="session")
def public_python() -> Iterator[Path]:
    """A Python with Django and linodmgr that every user may run; pytest's own directories are private."""
    with tempfile.TemporaryDirectory(prefix="lm-python-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        yield python_for_all(Path(place))


@pytest.fixture
def redis(runtime: Path) -> Iterator[None]:
    """A Redis on loopback. The test must be marked needs("redis-server")."""
    with redis_server(runtime):
        yield
