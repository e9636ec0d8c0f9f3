"""Asks a real daemon over its socket, as the command line does, but without starting a process each time."""

from linodmgr.cli import client
from linodmgr.protocol import Answer, Done, Request, SiteStatus, Snapshot, Start, Status, Stop
from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon


def ask(daemon: Daemon, request: Request) -> list[Answer]:
    """Return all answers. Raises Refusal."""
    return list(client.ask(daemon.home / "run" / "control", request, within=60.0))


def done(daemon: Daemon, request: Request) -> Done:
    """Return the last answer. Raises Refusal."""
    last = ask(daemon, request)[-1]
    assert isinstance(last, Done)
    return last


def sites(daemon: Daemon) -> dict[str, SiteStatus]:
    """Return what the daemon knows of each site."""
    snapshot = ask(daemon, Status())[0]
    assert isinstance(snapshot, Snapshot)
    return {one.name: one for one in snapshot.sites}


def start(daemon: Daemon, *names: str) -> None:
    """Start sites; all of them must come up."""
    assert [result for result in done(daemon, Start(names)).results if not result.ok] == []


def stop(daemon: Daemon, *names: str) -> None:
    """Stop sites."""
    assert [result for result in done(daemon, Stop(names)).results if not result.ok] == []


def until(daemon: Daemon, name: str, state: str) -> SiteStatus:
    """Return the status of a site as soon as it is in this state."""
    seen: list[SiteStatus] = []

    def there() -> bool:
        seen[:] = [sites(daemon)[name]]
        return seen[0].state == state

    try:
        eventually(there, f"{name} is {state}", limit=30.0)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{seen}\n{daemon.log(name)}\n{daemon.said()}") from error
    return seen[0]


def pid_of(daemon: Daemon, name: str) -> int:
    """Return the pid of a site once it is RUNNING."""
    pid = until(daemon, name, "RUNNING").pid
    assert pid is not None
    return pid


def ready(daemon: Daemon, name: str) -> int:
    """Return the pid of a site once its worker has said ready: before that, a signal ends any of them."""
    eventually(lambda: daemon.log(name).endswith("ready\n"), f"{name} is ready")
    return pid_of(daemon, name)
