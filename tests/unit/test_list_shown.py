"""How jobs are shown: rows of the table, states in words, JSON."""

import json
from datetime import datetime, timedelta, timezone

import msgspec
import pytest

from linodmgr.cli import jobs_shown
from linodmgr.cli.jobs_shown import Choice, Told
from linodmgr.protocol import JobStatus, SiteJobs

NOW = datetime(2026, 11, 23, 18, 45, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


def at(after: timedelta) -> str:
    return (NOW + after).isoformat().replace("+00:00", "Z")


def job(name: str = "send", state: str = "ok", **known: object) -> JobStatus:
    status = JobStatus(f"tasks.{name} every 10 seconds", name, "every 10 seconds", state, interval=10.0)
    return msgspec.structs.replace(status, **known)


def told(*jobs: JobStatus, site: str = "noi", live: bool = True, problem: str = "", **known: str) -> Told:
    return Told(SiteJobs(site, live, list(jobs), **known), NOW, problem)  # type: ignore[arg-type]


def cells(*sites: Told) -> list[list[str]]:
    return jobs_shown.rows(jobs_shown.chosen(sites, Choice()))


def state(of: JobStatus, zone: str = "", as_of: str = "") -> str:
    [row] = cells(told(of, zone=zone, as_of=as_of or at(timedelta())))
    return row[-1]


def test_a_job_is_a_row_with_times_relative_to_now() -> None:
    ran = job(last_run=at(timedelta(seconds=-12)), next_run=at(2 * HOUR), outcome="ok", duration=0.25)

    assert cells(told(ran)) == [
        ["noi", "send", "every 10 seconds", "12 s ago", "ok", "250 ms", "in 2 h", "ok"],
    ]


def test_a_job_whose_time_has_come_is_due() -> None:
    [row] = cells(told(job(next_run=at(timedelta(seconds=-75)))))

    assert row[-2] == "due for 75 s"


def test_only_a_site_that_remembers_can_say_never() -> None:
    rows = cells(told(job(), kind="lino"), told(job(), kind="schedule"))

    assert [row[3] for row in rows] == ["never", "-"]


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (job(), "ok"),
        (job(caught_up=True), "ok, caught up"),
        (job(state=""), "-"),
        (job(state="late"), "late"),
        (job(state="running", running_since=at(timedelta(seconds=-12))), "running for 12 s"),
        (job(state="LONG", running_since=at(-3 * HOUR)), "LONG: running for 3 h"),
        (job(state="FAILED", error="ValueError: x"), "FAILED: ValueError: x"),
        (job(state="FAILED"), "FAILED"),
        (job(state="DISABLED", why="it raised"), "DISABLED: it raised"),
        (job(state="MISSED", missed="2026-11-23T19:00:00Z"), "MISSED: 2026-11-23 20:00"),
    ],
)
def test_the_state_says_why(of: JobStatus, words: str) -> None:
    assert state(of, zone="Europe/Brussels") == words


def test_a_zone_that_nobody_knows_is_our_own() -> None:
    missed = job(state="MISSED", missed="2026-11-23T19:00:00Z")
    ours = datetime(2026, 11, 23, 19, tzinfo=timezone.utc).astimezone()

    for zone in ("", "CET-1CEST,M3.5.0", "../../etc/passwd", "/etc/passwd", "No/Where", "\0", "x" * 5000):
        assert state(missed, zone=zone) == f"MISSED: {ours:%Y-%m-%d %H:%M}"


def test_news_of_a_worker_that_has_long_been_silent_say_how_old_they_are() -> None:
    assert state(job(), as_of=at(-HOUR)) == "ok (as of 60 min ago)"
    assert state(job(), as_of=at(timedelta(seconds=-15))) == "ok"
    running = job(state="running", running_since=at(-HOUR))
    assert state(running, as_of=at(-HOUR)) == "running for 60 min"


def test_sites_without_jobs_and_sites_that_did_not_answer_have_a_row_each() -> None:
    rows = cells(told(), told(reason="does not use linod"), told(problem="exited with status 1"))

    assert [row[0] for row in rows] == ["noi"] * 3
    assert [row[-1] for row in rows] == ["no jobs", "does not use linod", "exited with status 1"]
    assert all(len(row) == len(jobs_shown.COLUMNS) for row in rows)


def test_jobs_without_a_worker_do_not_look_as_if_they_ran() -> None:
    rows = cells(told(job(), job(state="FAILED", error="x"), live=False, reason="STOPPED"))

    assert [row[-1] for row in rows] == ["STOPPED", "FAILED: x"]


MANY = [
    told(job("a"), job("b", "FAILED"), site="noi"),
    told(site="lazy"),
    told(site="dead", problem="exited with status 1"),
    told(job("c", "running"), job("d", "MISSED"), job("e", "late"), job("f", "DISABLED"), site="voga"),
]


@pytest.mark.parametrize(
    ("states", "names"),
    [
        ([], ["a", "b", "lazy", "dead", "c", "d", "e", "f"]),
        (["FAILED", "MISSED", "DISABLED"], ["b", "d", "f", "dead"]),
        (["late"], ["e", "dead"]),
        (["running", "LONG", "late"], ["c", "e", "dead"]),
    ],
)
def test_filters_keep_jobs_of_any_of_the_states_and_every_problem(
    states: list[str], names: list[str]
) -> None:
    entries = jobs_shown.chosen(MANY, Choice(frozenset(states)))

    assert [of.name if of else where.site for where, of in entries] == names


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("next", ["c", "a", "b", "noi"]),
        ("last", ["b", "a", "c", "noi"]),
        ("duration", ["a", "c", "b", "noi"]),
    ],
)
def test_what_is_unknown_comes_last_when_sorted(order: str, names: list[str]) -> None:
    jobs = [
        job("a", next_run=at(2 * HOUR), last_run=at(-2 * HOUR), duration=3.0),
        job("b", last_run="2026-11-23T18:44:00.500000Z"),
        job("c", next_run=at(HOUR), duration=1.0),
    ]

    entries = jobs_shown.chosen([told(), told(*jobs)], Choice(sort=order))

    assert [of.name if of else where.site for where, of in entries] == names


def test_the_json_has_the_promised_fields_and_unknown_is_null() -> None:
    sites = [
        told(job(next_run=at(HOUR), state="FAILED", error="x"), as_of=at(-HOUR)),
        told(),
        told(problem="exited"),
    ]

    shown = json.loads(msgspec.json.encode(jobs_shown.report(jobs_shown.chosen(sites, Choice()))))

    assert shown == {
        "jobs": [
            {
                "site": "noi",
                "id": "tasks.send every 10 seconds",
                "name": "send",
                "schedule": "every 10 seconds",
                "last_run": None,
                "next_run": "2026-11-23T19:45:00Z",
                "outcome": None,
                "duration": None,
                "state": "FAILED",
                "enabled": True,
                "why": None,
                "interval": 10.0,
                "at": None,
                "error": "x",
                "running_since": None,
                "missed": None,
                "caught_up": False,
                "live": True,
                "as_of": "2026-11-23T17:45:00Z",
            }
        ],
        "problems": [{"site": "noi", "reason": "exited"}],
        "idle": [{"site": "noi", "reason": "no jobs"}],
    }


@pytest.mark.parametrize("key", ["id", "name", "schedule", "at", "error", "why", "text"])
def test_no_word_of_a_worker_controls_the_terminal(key: str) -> None:
    hostile = "\x1b]0;title\x07\x9b31m\u202e one\ntwo"
    [cleaned] = jobs_shown.clean(told(job(**{key: hostile})).jobs).jobs

    assert getattr(cleaned, key).isprintable()


@pytest.mark.parametrize("key", ["id", "name", "schedule", "at", "error", "why"])
def test_a_word_without_end_is_cut(key: str) -> None:
    [cleaned] = jobs_shown.clean(told(job(**{key: "x" * 100_000})).jobs).jobs

    assert getattr(cleaned, key) == "x" * (jobs_shown.WORDS_LIMIT - 1) + "…"


def test_states_have_colours() -> None:
    words = {
        "ok": "green",
        "ok, caught up": "green",
        "running for 12 s": "green",
        "LONG: running for 3 h": "yellow",
        "late": "yellow",
        "MISSED: 2026-11-23 20:00": "yellow",
        "DISABLED: it raised": "yellow",
        "FAILED: x": "red",
        "-": "dim",
        "no jobs": "dim",
        "STOPPED": "dim",
        "exited with status 1": "red",
    }

    assert {word: jobs_shown.style(word) for word in words} == words
