"""The words that people read."""

import doctest

import pytest

from linodmgr.core import shown
from linodmgr.core.states import Lacking, Remedy, Resting, Wanted
from tests.story import DOWN, UP, Story

LIVES = {
    "STOPPED": Story(),
    "QUEUED": Story().wanted(UP),
    "STARTING": Story().started(),
    "RUNNING": Story().ran(),
    "BACKOFF": Story().started(at=0.0).exited(1, at=0.2),
    "STOPPING": Story().ran().wanted(DOWN),
    "IDLE": Story().started().said(Resting("no jobs")).exited(0),
    "BLOCKED": Story().started().said(Lacking("no manage.py in /srv/noi")).exited(1),
}


def test_the_examples_are_true() -> None:
    assert doctest.testmod(shown).failed == 0
    assert doctest.testmod(shown).attempted > 0


@pytest.mark.parametrize("word", LIVES)
def test_every_state_has_its_word(word: str) -> None:
    assert shown.word(LIVES[word].worker) == word


def test_a_worker_that_is_being_spawned_is_starting() -> None:
    assert shown.word(Story().wanted(UP).admitted().worker) == "STARTING"


@pytest.mark.parametrize("word", LIVES)
def test_up_means_running_or_idle(word: str) -> None:
    story = LIVES[word]
    if story.worker.goal is UP:
        assert shown.is_as_wanted(story.worker) == (word in {"RUNNING", "IDLE"})


def test_down_means_stopped() -> None:
    assert shown.is_as_wanted(LIVES["STOPPED"].worker)
    assert not shown.is_as_wanted(LIVES["STOPPING"].worker)


@pytest.mark.parametrize("word", LIVES)
def test_a_command_waits_while_something_is_on_its_way(word: str) -> None:
    assert shown.is_settled(LIVES[word].worker) == (word not in {"QUEUED", "STARTING", "STOPPING"})


def test_a_command_does_not_wait_for_a_backoff() -> None:
    assert shown.is_settled(LIVES["BACKOFF"].worker)


@pytest.mark.parametrize("word", ["STOPPED", "QUEUED", "STARTING", "RUNNING"])
def test_no_reason_is_given_where_the_word_says_it_all(word: str) -> None:
    assert shown.reason(LIVES[word].worker, now=0.0) == ""


def test_a_backoff_says_why_and_when() -> None:
    text = shown.reason(LIVES["BACKOFF"].worker, now=0.2)

    assert text == "exited with status 1 after 0.2 s, next try in 1 s"


def test_a_block_says_why_and_when_if_it_is_tried_again() -> None:
    missing = LIVES["BLOCKED"].worker
    wrong = Story().wanted(UP).admitted().not_spawned("umask: must be octal digits", Remedy.CHANGE).worker

    assert shown.reason(missing, now=20.0) == "no manage.py in /srv/noi, next try in 40 s"
    assert shown.reason(wrong, now=20.0) == "umask: must be octal digits"


def test_an_idle_site_says_why() -> None:
    assert shown.reason(LIVES["IDLE"].worker, now=0.0) == "no jobs"


def test_a_stop_says_how_long_it_may_take() -> None:
    assert shown.reason(LIVES["STOPPING"].worker, now=10.0) == "killed in 20 s if it is still there"


def test_a_killed_start_says_why() -> None:
    hanging = Story().started().connected().clock(at=120.0)

    assert shown.reason(hanging.worker, now=121.0) == "not ready after 120 s"


def test_an_overdue_instant_is_now() -> None:
    assert shown.reason(LIVES["BACKOFF"].worker, now=99.0).endswith("next try in 0 s")


def test_goals_are_told_as_words() -> None:
    assert Wanted(UP).goal.value == "UP"
    assert Wanted(DOWN).goal.value == "DOWN"


@pytest.mark.parametrize("word", LIVES)
def test_a_worker_is_at_rest_without_a_process_that_lives_or_is_to_come(word: str) -> None:
    rests = word in ("STOPPED", "BACKOFF", "IDLE", "BLOCKED")

    assert shown.is_at_rest(LIVES[word].worker) is rests
