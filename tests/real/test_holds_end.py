"""How holds end: with their process, or by hand; what ran before is started."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from linodmgr.birth import born
from linodmgr.core.states import BecameReady
from linodmgr.core.worker import pid_of
from linodmgr.protocol import Done, Hold, Release, Stop
from tests.eventually import eventually
from tests.real.control_desk import Desk, hear, say
from tests.real.hold_desk import Command, commands, hold, hold_desk, is_running, result, status


@pytest.fixture
def command() -> Iterator[Callable[[], Command]]:
    with commands() as make:
        yield make


@pytest.fixture
def open_desk(runtime: Path) -> Iterator[Desk]:
    with hold_desk(runtime) as made:
        yield made


def test_what_ran_before_is_started_when_the_command_has_ended(
    open_desk: Desk, command: Callable[[], Command]
) -> None:
    process = command()
    last = hold(open_desk, process, "one", "two", "off")[-1]
    assert isinstance(last, Done)
    assert [(one.state, one.ok) for one in last.results] == [("STOPPED", True)] * 3

    process.kill()

    eventually(lambda: is_running(open_desk, "one") and is_running(open_desk, "two"), "they start again")
    assert open_desk.word("off") == "STOPPED"


def test_a_command_that_is_over_at_once_is_over(open_desk: Desk) -> None:
    with subprocess.Popen(["true"]) as process:
        eventually(lambda: os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG), "a zombie")
        with open_desk.connect() as client:
            say(client, Hold(("one",), process.pid, born(process.pid), "true"))
            eventually(lambda: open_desk.word("one") == "STOPPING", "it was there")

    open_desk.thread.do(open_desk.processes.obey)

    eventually(lambda: is_running(open_desk, "one"), "it starts again")


def test_who_is_released_before_the_command_began_is_not_held(
    open_desk: Desk, command: Callable[[], Command]
) -> None:
    process = command()
    with open_desk.connect() as client:
        say(client, Hold(("one",), process.pid, born(process.pid), "x"))
        eventually(lambda: open_desk.word("one") == "STOPPING", "it has begun")

        open_desk.ask(Release(("one",), wait=False))
        open_desk.thread.do(open_desk.processes.obey)
        open_desk.thread.do(open_desk.loop.put, "one", BecameReady())

        told = result(hear(client))
    assert (told.state, told.ok, told.reason) == ("RUNNING", False, "it is no longer held")


def test_what_is_stopped_by_hand_meanwhile_stays_stopped(
    open_desk: Desk, command: Callable[[], Command]
) -> None:
    process = command()
    hold(open_desk, process, "one", "two")
    assert result(open_desk.ask(Stop(("one",)))).ok

    process.kill()

    eventually(lambda: is_running(open_desk, "two"), "the other one starts again")
    assert open_desk.word("one") == "STOPPED"


def test_several_holds_end_with_the_last(open_desk: Desk, command: Callable[[], Command]) -> None:
    first, second = command(), command()
    hold(open_desk, first, "one", "two")
    hold(open_desk, second, "one")
    assert status(open_desk, "one").reason == f"held for 'pg_dump noi' (pid {first.pid}) and 1 more"

    first.kill()
    eventually(lambda: is_running(open_desk, "two"), "what only the first held is started")
    assert open_desk.word("one") == "STOPPED"

    second.kill()
    eventually(lambda: is_running(open_desk, "one"), "the other one is started, too")


def test_a_release_starts_although_the_command_lives(open_desk: Desk, command: Callable[[], Command]) -> None:
    process = command()
    hold(open_desk, process, "one", "two")

    open_desk.ask(Release(("one",), wait=False))

    assert is_running(open_desk, "one")
    assert open_desk.word("two") == "STOPPED"
    process.kill()
    eventually(lambda: is_running(open_desk, "two"), "the rest of the hold has ended with its process")


def test_a_release_of_what_nobody_holds_changes_nothing(open_desk: Desk) -> None:
    before = open_desk.thread.do(lambda: pid_of(open_desk.loop.fleet["one"]))

    assert result(open_desk.ask(Release(("one",)))).pid == before


def test_whoever_asks_after_the_end_waits_for_the_sites_to_start(open_desk: Desk) -> None:
    process = subprocess.Popen(["sleep", "1000"])
    started = born(process.pid)
    hold(open_desk, process, "one", "off")
    process.kill()
    process.wait()

    with open_desk.connect() as client:
        say(client, Release(("one", "off", "gone"), pid=process.pid, started=started))
        eventually(lambda: open_desk.word("one") == "STARTING", "it starts")
        open_desk.thread.do(open_desk.loop.put, "one", BecameReady())
        last = hear(client)[-1]

    assert isinstance(last, Done)
    assert {one.site: one.state for one in last.results} == {"one": "RUNNING", "off": "STOPPED"}


def test_a_command_that_lives_is_not_ended_by_its_pid(
    open_desk: Desk, command: Callable[[], Command]
) -> None:
    process = command()
    hold(open_desk, process, "one")

    open_desk.ask(Release(("one",), pid=process.pid, started=born(process.pid)))

    assert open_desk.word("one") == "STOPPED"


def test_a_daemon_that_stops_starts_nobody_when_a_command_ends(
    open_desk: Desk, command: Callable[[], Command]
) -> None:
    process = command()
    hold(open_desk, process, "one")
    open_desk.thread.do(open_desk.roster.shut_down)
    open_desk.thread.do(open_desk.processes.obey)

    process.kill()

    eventually(lambda: status(open_desk, "one").reason is None, "the hold is over")
    assert open_desk.word("one") == "STOPPED"
