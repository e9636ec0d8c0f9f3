"""A desk whose sites are held for processes of the tests."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from linodmgr.birth import born
from linodmgr.core.states import BecameReady
from linodmgr.protocol import Answer, Done, Hold, Result, SiteStatus, Snapshot, Status, Stop
from tests.eventually import eventually
from tests.real.control_desk import Desk, desk, hear, say

Command = subprocess.Popen[bytes]


@contextlib.contextmanager
def commands() -> Iterator[Callable[[], Command]]:
    """Yield what starts processes that run until they are killed, at the end at the latest."""
    with contextlib.ExitStack() as stack:

        def make() -> Command:
            process = subprocess.Popen(["sleep", "1000"])
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield make


@contextlib.contextmanager
def hold_desk(home: Path) -> Iterator[Desk]:
    """Yield a desk whose sites are RUNNING, and of which the third is stopped by hand."""
    with desk(home, "one", "two", "off") as made:
        for name in ("one", "two"):
            made.thread.do(made.loop.put, name, BecameReady())
        made.ask(Stop(("off",), wait=False))
        made.thread.do(made.processes.obey)
        yield made


def hold(one: Desk, process: Command, *names: str) -> list[Answer]:
    """Hold sites, whose workers end when they are told to; return all answers."""
    with one.connect() as client:
        say(client, Hold(names, process.pid, born(process.pid), "pg_dump noi"))
        eventually(lambda: not any(is_running(one, name) for name in names), "it has begun")
        one.thread.do(one.processes.obey)
        return hear(client)


def is_running(one: Desk, name: str) -> bool:
    return one.word(name) in {"RUNNING", "STARTING"}


def status(one: Desk, name: str) -> SiteStatus:
    snapshot = one.ask(Status((name,)))[0]
    assert isinstance(snapshot, Snapshot)
    return snapshot.sites[0]


def result(answers: list[Answer]) -> Result:
    """Return what became of the one site that was asked for."""
    last = answers[-1]
    assert isinstance(last, Done)
    [only] = last.results
    return only
