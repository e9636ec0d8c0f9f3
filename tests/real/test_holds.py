"""Sites are held as long as a process lives: who may hold them, and what is true meanwhile."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from linodmgr.birth import born
from linodmgr.core.states import Goal, Wanted
from linodmgr.protocol import Hold, Refused, Restart, Start, Stop
from tests.eventually import eventually
from tests.real.control_desk import Desk, say
from tests.real.hold_desk import Command, commands, hold, hold_desk, is_running, result, status


@pytest.fixture
def command() -> Iterator[Callable[[], Command]]:
    with commands() as make:
        yield make


@pytest.fixture
def open_desk(runtime: Path) -> Iterator[Desk]:
    with hold_desk(runtime) as made:
        yield made


def test_it_is_stored_before_anything_is_stopped(
    open_desk: Desk, runtime: Path, command: Callable[[], Command]
) -> None:
    process = command()
    with open_desk.connect() as client:
        say(client, Hold(("one",), process.pid, born(process.pid), "pg_dump noi"))
        eventually(lambda: open_desk.word("one") == "STOPPING", "it has begun")

        stored = msgspec.json.decode((runtime / "holds.json").read_bytes())
    assert [(one["pid"], one["sites"]) for one in stored["holds"]] == [(process.pid, {"one": "/nowhere/one"})]
    assert (runtime / "holds.json").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_stored_stops_nothing(
    open_desk: Desk, runtime: Path, command: Callable[[], Command]
) -> None:
    (runtime / "holds.new").mkdir()  # as good as a full disk
    process = command()

    [refused] = open_desk.ask(Hold(("one",), process.pid, born(process.pid), "x"))

    assert isinstance(refused, Refused)
    assert refused.reason.startswith("cannot store what is wanted: ")
    assert open_desk.word("one") == "RUNNING"


def test_only_a_living_process_can_hold(open_desk: Desk, command: Callable[[], Command]) -> None:
    process = command()
    for pid, started in (
        (process.pid, born(process.pid) + 1),
        (0, 0),
        (-1, 0),
        (2**22 - 1, 5),
        (2**62, 5),
    ):
        [refused] = open_desk.ask(Hold(("one",), pid, started, "x"))

        assert isinstance(refused, Refused)
        assert (
            refused.reason
            == f"cannot hold one: there is no process {pid} of yours that could run the command"
        )
    assert open_desk.word("one") == "RUNNING"


@pytest.mark.root
def test_a_process_of_somebody_else_cannot_hold(open_desk: Desk) -> None:
    with subprocess.Popen(["sleep", "1000"], user=65534) as process:
        [refused] = open_desk.ask(Hold(("one",), process.pid, born(process.pid), "x"))
        process.kill()

    assert isinstance(refused, Refused)
    assert open_desk.word("one") == "RUNNING"


def test_a_held_site_is_shown_as_wanted_with_what_it_is_held_for(
    open_desk: Desk, command: Callable[[], Command]
) -> None:
    process = command()
    hold(open_desk, process, "one")

    shown = status(open_desk, "one")

    assert (shown.state, shown.goal) == ("STOPPED", "DOWN")
    assert shown.reason == f"held for 'pg_dump noi' (pid {process.pid})"


@pytest.mark.parametrize("wish", [Start(("one",)), Restart(("one",))])
def test_a_wish_for_a_held_site_is_noted_and_answered(
    open_desk: Desk, command: Callable[[], Command], wish: Start | Restart
) -> None:
    open_desk.ask(Stop(("one",), wait=False))
    process = command()
    hold(open_desk, process, "one")

    told = result(open_desk.ask(wish))

    assert (told.state, told.ok) == ("STOPPED", False)
    assert told.reason == (
        f"held for 'pg_dump noi' (pid {process.pid}): starts when it has ended, or with linodmgr release one"
    )
    process.kill()
    eventually(lambda: is_running(open_desk, "one"), "the wish is fulfilled")


def test_whatever_wants_it_up_a_held_site_is_not_spawned(
    open_desk: Desk, command: Callable[[], Command]
) -> None:
    process = command()
    hold(open_desk, process, "one")

    open_desk.thread.do(open_desk.loop.put, "one", Wanted(Goal.UP))

    assert (open_desk.word("one"), status(open_desk, "one").pid) == ("BLOCKED", None)
    process.kill()
    eventually(lambda: is_running(open_desk, "one"), "it starts when the command has ended")


def test_another_name_for_a_held_project_does_not_get_round_it(
    open_desk: Desk, command: Callable[[], Command]
) -> None:
    process = command()
    hold(open_desk, process, "one")
    old = open_desk.roster.config
    renamed = {**old.sites, "other": msgspec.structs.replace(old.sites["one"], name="other")}
    del renamed["one"]

    lines, _ = open_desk.thread.do(open_desk.roster.reload, replace(old, sites=renamed))

    assert any(line.startswith("other: held for 'pg_dump noi'") for line in lines)
    assert open_desk.word("other") == "STOPPED"
    process.kill()
    eventually(lambda: is_running(open_desk, "other"), "it starts when the command has ended")


def test_one_process_holds_once(open_desk: Desk, command: Callable[[], Command]) -> None:
    process = command()
    hold(open_desk, process, "one")

    [refused] = open_desk.ask(Hold(("two",), process.pid, born(process.pid), "x"))

    assert isinstance(refused, Refused)
    assert open_desk.word("two") == "RUNNING"
