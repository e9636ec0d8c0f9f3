"""The states in the README are those of the code."""

from typing import get_args

from linodmgr.core.shown import word
from linodmgr.core.states import Event, State
from tests import diagram


def test_the_diagram_in_the_readme_is_drawn_from_the_code() -> None:
    text = diagram.README.read_text("utf-8")

    assert diagram.drawn_in(text) == text, "run: python -m tests.diagram"


def test_every_state_is_represented() -> None:
    assert {type(worker.state) for _, worker in diagram.workers()} == set(get_args(State))


def test_every_event_is_put_to_them() -> None:
    assert {type(event) for _, _, event in diagram.EVENTS} == set(get_args(Event))


def test_every_word_can_be_reached_and_left() -> None:
    words = {word(worker) for _, worker in diagram.workers()}

    assert {edge.target for edge in diagram.edges()} == words
    assert {edge.source for edge in diagram.edges()} == words


def test_drawing_twice_changes_nothing() -> None:
    once = diagram.drawn_in("before\n<!-- states -->\n\nafter\n")

    assert diagram.drawn_in(once) == once
    assert once.startswith("before\n")
    assert once.endswith("<!-- /states -->\n\nafter\n")


def test_a_text_without_the_mark_is_left_alone() -> None:
    assert diagram.drawn_in("no mark here\n") == "no mark here\n"
