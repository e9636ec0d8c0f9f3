"""How jobs are shown, and what needs attention."""

import math

import pytest

from linodmgr.core.job import Hang, Job
from linodmgr.core.job_states import ATTENTION_LIMIT, attention, spoken, state, turns
from linodmgr.core.jobs import SiteJobs
from linodmgr.core.told import Definition, Run

WALL, NOW = 1_700_000_000.0, 5000.0
RUN = Run(1, "j", WALL)


def job(**known: object) -> Job:
    made = Job(Definition("j", "check"))
    for name, value in known.items():
        setattr(made, name, value)
    return made


OFF = Definition("j", "check", enabled=False, why="ValueError: x")
SHOWN = [
    ("ok", job(), []),
    ("ok", job(outcome="warned", started=WALL, next_run=WALL - 30), []),
    ("running", job(run=RUN, since=NOW - 3600, outcome="failed"), []),
    ("LONG", job(run=RUN, since=NOW - 3601), ["check LONG: has been running for 60 min"]),
    ("late", job(next_run=WALL - 31, outcome="failed"), ["check late: was due 31 s ago"]),
    ("FAILED", job(outcome="failed", error="ValueError: x"), ["check FAILED: ValueError: x"]),
    ("FAILED", job(outcome="failed"), ["check FAILED"]),
    ("MISSED", job(missed=WALL - 7200), ["check MISSED: was due 2 h ago"]),
    ("MISSED", job(missed=WALL - 7200, started=WALL - 7201), ["check MISSED: was due 2 h ago"]),
    ("ok", job(missed=WALL - 7200, started=WALL - 7200), []),
    ("DISABLED", job(defined=OFF, next_run=WALL - 99), ["check DISABLED: ValueError: x"]),
    ("DISABLED", job(defined=Definition("j", "check", enabled=False)), ["check DISABLED"]),
]


@pytest.mark.parametrize(("word", "one", "lines"), SHOWN)
def test_each_state_has_its_word_and_needs_attention_or_not(word: str, one: Job, lines: list[str]) -> None:
    site = SiteJobs(live=True, jobs={"j": one})

    assert state(one, WALL, NOW, live=True) == word
    assert attention(site, WALL, NOW) == lines


def test_nothing_is_late_while_no_worker_should_run_it() -> None:
    assert state(job(next_run=WALL - 99), WALL, NOW, live=False) == "ok"


def test_a_hang_of_the_loop_needs_attention_for_an_hour() -> None:
    site = SiteJobs(hang=Hang(WALL, "hung for 120 s", where="tasks/jobs.py:12 fetch"))

    assert attention(site, WALL + 240, NOW) == [
        "its loop hung for 120 s in tasks/jobs.py:12 fetch, 4 min ago"
    ]
    assert attention(site, WALL + 3600, NOW) == []
    assert attention(SiteJobs(hang=Hang(WALL, "hung for 9 s", "j")), WALL, NOW) == []


def test_of_very_many_only_some_are_named() -> None:
    site = SiteJobs(jobs={str(number): job(outcome="failed") for number in range(1000)})

    lines = attention(site, WALL, NOW)

    assert len(lines) == ATTENTION_LIMIT + 1
    assert lines[-1] == f"and {1000 - ATTENTION_LIMIT} more"


def test_it_is_known_when_a_state_changes_by_itself() -> None:
    site = SiteJobs(live=True)
    assert turns(site, WALL, NOW) == math.inf

    site.jobs = {"a": job(), "b": job(next_run=WALL - 99)}
    assert turns(site, WALL, NOW) == math.inf

    site.jobs["c"] = job(run=RUN, since=NOW - 3590)
    assert turns(site, WALL, NOW) == 10.0

    site.jobs["d"] = job(next_run=WALL - 25)
    site.jobs["e"] = job(next_run=WALL + 25)
    assert turns(site, WALL, NOW) == 5.0

    site.live = False
    assert turns(site, WALL, NOW) == math.inf


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (3 * 86400, "3 d")],
)
def test_spans_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
