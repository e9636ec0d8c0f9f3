"""What systemd is told: sd_notify(3), to a socket that the tests play."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.daemon.notify import Notifier
from linodmgr.protocol import Reload, Upgrade
from tests.eventually import eventually
from tests.real.asking import done, pid_of, stop
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site


class Systemd:
    """Hears what is said to it."""

    def __init__(self, address: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(address)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Return all lines so far."""
        while True:
            try:
                self.heard += self.socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def until(self, beginning: str, count: int = 1) -> str:
        """Return the latest line that begins so, once there are so many."""

        def there() -> list[str]:
            found = [line for line in self.listen() if line.startswith(beginning)]
            return found if len(found) >= count else []

        return eventually(there, f"{beginning} is said {count} times")[-1]


@pytest.fixture
def systemd(runtime: Path) -> Iterator[Systemd]:
    made = Systemd(str(runtime / "notify"))
    yield made
    made.socket.close()


@pytest.fixture
def told(systemd: Systemd, runtime: Path) -> dict[str, str]:
    """The environment of a service."""
    return {"NOTIFY_SOCKET": str(runtime / "notify")}


def test_ready_is_said_when_the_sockets_are_served(
    daemon: Daemon, runtime: Path, systemd: Systemd, told: dict[str, str]
) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.launch(environment=told)

    systemd.until("READY=1")

    assert (runtime / "run" / "control").is_socket()
    assert (runtime / "run" / "report").is_socket()
    pid_of(daemon, "one")


def test_the_status_says_how_many_sites_are_in_which_state(
    daemon: Daemon, runtime: Path, systemd: Systemd, told: dict[str, str]
) -> None:
    daemon.configure("".join(site(make_worker(runtime / name, "waits")) for name in ("one", "two", "three")))
    daemon.launch(environment=told)
    systemd.until("STATUS=3 sites: 3 RUNNING")

    stop(daemon, "one")

    systemd.until("STATUS=3 sites: 2 RUNNING, 1 STOPPED")


@pytest.mark.parametrize("good", [True, False])
def test_a_reload_is_announced_and_its_end_too(
    daemon: Daemon, runtime: Path, systemd: Systemd, told: dict[str, str], good: bool
) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.launch(environment=told)
    systemd.until("STATUS=1 sites: 1 RUNNING")
    if not good:
        daemon.configure("[[site]\n")

    os.kill(daemon.pid, signal.SIGHUP)

    systemd.until("READY=1", count=2)
    lines = systemd.listen()
    begin = lines.index("RELOADING=1")
    assert lines[begin + 1].startswith("MONOTONIC_USEC=")
    assert lines[begin + 1].partition("=")[2].isdecimal()
    assert "READY=1" in lines[begin:]
    daemon.configure(site(runtime / "one"))


def test_the_end_is_announced_with_the_time_that_it_may_take(
    daemon: Daemon, runtime: Path, systemd: Systemd, told: dict[str, str]
) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits"), stop_timeout=300))
    daemon.launch(environment=told)
    systemd.until("READY=1")
    pid_of(daemon, "one")

    assert daemon.stop() == 0

    lines = systemd.listen()
    end = lines.index("STOPPING=1")
    assert lines[end + 1 :] == ["STATUS=stopping", "EXTEND_TIMEOUT_USEC=310000000"]


def test_a_reload_during_the_end_does_not_say_ready(
    daemon: Daemon, runtime: Path, systemd: Systemd, told: dict[str, str]
) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.launch(environment=told)
    systemd.until("READY=1")
    pid_of(daemon, "one")

    os.kill(daemon.pid, signal.SIGHUP)
    assert daemon.stop() == 0

    lines = systemd.listen()
    assert "READY=1" not in lines[lines.index("STOPPING=1") :]


def test_a_socket_without_a_name_in_the_file_system_is_told_too(daemon: Daemon, runtime: Path) -> None:
    name = f"@{runtime}/notify"
    systemd = Systemd("\0" + name[1:])
    try:
        daemon.configure("")
        daemon.launch(environment={"NOTIFY_SOCKET": name})

        systemd.until("STATUS=no sites")
        assert daemon.stop() == 0
    finally:
        systemd.socket.close()


@pytest.mark.parametrize("address", ["/nowhere/notify", "", "vsock:2:1", "x" * 300])
def test_whom_nobody_can_tell_is_not_told(daemon: Daemon, address: str) -> None:
    daemon.configure("")

    daemon.start(environment={"NOTIFY_SOCKET": address})

    assert done(daemon, Reload()).lines == ["0 unchanged"]


def test_a_systemd_that_does_not_listen_blocks_nobody(
    systemd: Systemd, told: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in told.items():
        monkeypatch.setenv(key, value)
    notifier = Notifier()

    for number in range(10_000):
        notifier.status(f"{number} sites")

    assert "STATUS=0 sites" in systemd.listen()
    notifier.ready("all is well")
    assert systemd.listen()[-2:] == ["READY=1", "STATUS=all is well"]
    assert "NOTIFY_SOCKET" not in os.environ, "workers are none of its business"


def test_an_upgrade_is_told_like_a_reload(
    daemon: Daemon, runtime: Path, systemd: Systemd, told: dict[str, str]
) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start(environment=told)
    pid_of(daemon, "one")
    systemd.until("READY=1")

    done(daemon, Upgrade())

    systemd.until("READY=1", 2)
    heard = systemd.listen()
    assert heard.index("RELOADING=1") > heard.index("READY=1")
    assert not [line for line in heard if line.startswith("STOPPING")]
