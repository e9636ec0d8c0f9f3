"""What a runner says about the end that is to come is heard, and shown to people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.core.states import Goal, Wanted
from tests.real.puppets import Theatre, theatre

UP = Wanted(Goal.UP)
SITES = 10
ROUNDS = 20
IDLES = "connect(); say(HELLO); wait_for_go(); say(IDLE)"


@pytest.fixture
def stage(runtime: Path) -> Iterator[Theatre]:
    with theatre(runtime) as made:
        yield made


def test_the_last_words_before_an_end_are_heard_each_time(stage: Theatre) -> None:
    names = [f"site{number}" for number in range(SITES)]
    for name in names:
        stage.add(name, IDLES)
    for _ in range(ROUNDS):
        for name in names:
            stage.put(name, UP)
        for name in names:
            stage.until_ended(name)
            assert (stage.word(name), stage.reason(name)) == ("IDLE", "no jobs")


def test_who_lacks_something_is_heard_although_it_waits_for_nothing(stage: Theatre) -> None:
    lacks = """connect(); say(HELLO, '{"type":"missing","reason":"no settings"}'); sys.exit(78)"""
    names = [f"site{number}" for number in range(SITES)]
    for name in names:
        stage.add(name, lacks)
    for _ in range(ROUNDS):
        for name in names:
            stage.put(name, UP)
        for name in names:
            stage.until_ended(name)
            assert stage.reason(name).startswith("no settings, next try in")


def test_words_explain_the_death_that_follows_and_are_shown_on_one_line(stage: Theatre) -> None:
    stage.perform(
        "one",
        """connect(); say(HELLO, '{"type":"remark","text":"all\\\\nwas\\\\u001b[31m lost"}'); sys.exit(3)""",
    )

    stage.until("one", "BACKOFF")
    assert ": all was [31m lost, next try in" in stage.reason("one")


def test_a_lie_about_its_rest_does_not_help_a_worker_that_failed(stage: Theatre) -> None:
    stage.perform("one", f"{IDLES}; sys.exit(1)")

    stage.until("one", "BACKOFF")
