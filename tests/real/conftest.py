"""Fixtures for tests with real processes: a daemon, users, sites."""

import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.daemon_fixture import Daemon
from tests.real.lino_sites import public_python
from tests.real.loop_thread import loop_thread
from tests.real.redis_server import redis_server
from tests.real.swept import Swept
from tests.real.users import new_user

HOUSE = Path(__file__).parents[2]


@pytest.fixture
def daemon(runtime: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A daemon that is not started yet: `configure` it, then `start` it; it is stopped at the end."""
    for name in ("user", "other_user"):
        if name in request.fixturenames:
            request.getfixturevalue(name)  # made before the daemon, so removed after it
    made = Daemon(runtime)
    yield made
    assert made.stop() == 0, made.said()


@pytest.fixture
def other(runtime: Path) -> Iterator[Daemon]:
    """A second daemon, with directories of its own."""
    (runtime / "other").mkdir(mode=0o755)
    made = Daemon(runtime / "other")
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
def public_linodmgr() -> Iterator[str]:
    """The command ``linodmgr`` installed where every user may run it: the checkout may be private."""
    with tempfile.TemporaryDirectory(prefix="lm-public-", dir="/tmp") as place:
        venv = Path(place) / "env"
        Path(place).chmod(0o755)
        subprocess.run([public_python(), "-m", "venv", str(venv)], check=True)
        pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, str(HOUSE), "click", "msgspec", "tomli"], check=True)
        yield str(venv / "bin" / "linodmgr")


@pytest.fixture
def redis(runtime: Path) -> Iterator[None]:
    """A Redis on loopback. The test must be marked needs("redis-server")."""
    with redis_server(runtime):
        yield


@pytest.fixture
def swept() -> Iterator[Swept]:
    """A sweep in a loop of its own."""
    with loop_thread() as thread:
        made = Swept(thread)
        yield made
        made.finish()
