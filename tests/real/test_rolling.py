"""Restarts of many sites: a few at a time, whoever listens, and what is wanted later counts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.core.states import BecameReady
from linodmgr.core.worker import pid_of
from linodmgr.protocol import Answer, Done, Restart, Result, Start, Stop
from tests.eventually import eventually
from tests.real.control_desk import Desk, desk, hear, say

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def running(runtime: Path) -> Iterator[Desk]:
    """A desk whose sites are all RUNNING."""
    with desk(runtime, *NAMES) as made:
        for name in NAMES:
            ready(made, name)
        yield made


def ready(one: Desk, name: str) -> None:
    """Let the worker of a site say that it is ready."""
    one.thread.do(one.loop.put, name, BecameReady())


def pid(one: Desk, name: str) -> int | None:
    return one.thread.do(lambda: pid_of(one.loop.fleet[name]))


def end(one: Desk, name: str, status: int = 0) -> None:
    """Let the worker of a site end."""
    one.thread.do(one.processes.exit, pid(one, name), status)


def stopping(one: Desk) -> list[str]:
    """Return the sites that are being stopped."""
    return [name for name in NAMES if one.word(name) == "STOPPING"]


def results(answers: list[Answer]) -> dict[str, Result]:
    """Return what became of each site."""
    last = answers[-1]
    assert isinstance(last, Done)
    return {result.site: result for result in last.results}


def test_the_next_one_has_its_turn_when_one_has_come_to_rest(running: Desk) -> None:
    with running.connect() as client:
        say(client, Restart(at_once=2))
        eventually(lambda: stopping(running) == ["a", "b"], "two are on their way")

        end(running, "b")
        assert running.word("b") == "STARTING"
        assert stopping(running) == ["a"], "it has not come to rest yet"
        ready(running, "b")
        assert stopping(running) == ["a", "c"]

        for name in ("a", "c", "d", "e"):
            end(running, name)
            ready(running, name)
        ended = results(hear(client))
    assert {name: (result.state, result.ok) for name, result in ended.items()} == dict.fromkeys(
        NAMES, ("RUNNING", True)
    )


def test_it_goes_on_when_nobody_listens_any_more(running: Desk) -> None:
    with running.connect() as client:
        say(client, Restart(at_once=1))
        eventually(lambda: stopping(running) == ["a"], "it has begun")
    running.nobody_is_left()
    before = {name: pid(running, name) for name in NAMES}

    for name in NAMES:
        assert stopping(running) == [name]
        end(running, name)
        ready(running, name)

    assert all(pid(running, name) not in (None, before[name]) for name in NAMES)


def test_who_does_not_wait_hears_whose_turn_is_to_come(running: Desk) -> None:
    told = results(running.ask(Restart(wait=False, at_once=1)))

    assert told["a"].state == "STOPPING"
    assert (told["e"].state, told["e"].reason) == ("RUNNING", "restarted when its turn comes")


def test_without_a_number_a_few_go_together(running: Desk) -> None:
    running.ask(Restart(wait=False))

    assert stopping(running) == ["a", "b", "c", "d"], "starts_at_once is 0 here, so four"


@pytest.mark.parametrize("later", [Start(("e",)), Stop(("e",), wait=False)])
def test_a_later_command_replaces_a_turn(running: Desk, later: Start | Stop) -> None:
    with running.connect() as client:
        say(client, Restart(("a", "e"), at_once=1))
        eventually(lambda: stopping(running) == ["a"], "it has begun")

        running.ask(later)
        end(running, "a")
        ready(running, "a")
        if isinstance(later, Stop):
            end(running, "e")

        ended = results(hear(client))
    assert ended["e"].state == ("RUNNING" if isinstance(later, Start) else "STOPPED")
    assert running.processes.signals.count((pid(running, "e") or 0, "stop")) == 0


def test_the_end_of_the_daemon_lets_nobody_have_a_turn(running: Desk) -> None:
    running.ask(Restart(wait=False, at_once=1))

    running.thread.do(running.roster.shut_down)
    assert stopping(running) == list(NAMES)
    for name in NAMES:
        end(running, name)

    assert [running.word(name) for name in NAMES] == ["STOPPED"] * len(NAMES)


def test_who_died_while_it_waited_has_a_new_process_already(running: Desk) -> None:
    running.ask(Restart(("a", "b", "c"), wait=False, at_once=1))
    end(running, "b", 1)
    assert running.word("b") == "BACKOFF"
    running.ask(Start(("b",), wait=False))
    ready(running, "b")
    fresh = pid(running, "b")

    end(running, "a")
    ready(running, "a")

    assert pid(running, "b") == fresh
    assert stopping(running) == ["c"]


def test_one_that_does_not_come_up_holds_up_nobody(running: Desk) -> None:
    running.ask(Restart(("a", "b"), wait=False, at_once=1))
    end(running, "a")
    end(running, "a", 1)

    assert running.word("a") == "BACKOFF"
    assert stopping(running) == ["b"]


def test_at_once_is_for_each_command(running: Desk) -> None:
    running.ask(Restart(("a", "b"), wait=False, at_once=1))
    running.ask(Restart(("c", "d"), wait=False, at_once=1))

    assert stopping(running) == ["a", "c"]


def test_a_restart_now_kills_in_turn(running: Desk) -> None:
    first = pid(running, "a")

    running.ask(Restart(("a", "b"), wait=False, at_once=1, now=True))

    assert running.processes.signals == [(first, "kill")]


def test_whoever_waits_for_a_turn_is_handed_over(running: Desk) -> None:
    running.ask(Restart(("a", "b", "c"), wait=False, at_once=1, now=True))

    [one] = running.thread.do(running.roster.hand_over)

    assert (one.at_once, one.now, one.moving) == (1, True, ["a"])
    assert one.waiting == [(name, pid(running, name)) for name in ("b", "c")]


def test_what_was_handed_over_goes_on(running: Desk) -> None:
    running.ask(Restart(("a",), wait=False))
    [one] = running.thread.do(running.roster.hand_over)
    pids = [(name, pid(running, name)) for name in ("b", "c")]
    running.thread.do(
        running.roster.take_over, [type(one)(waiting=[*pids, ("gone", 1)], moving=["d"], at_once=1)]
    )

    assert stopping(running) == ["a", "b"], "d has come to rest meanwhile"
