"""The three forms in which jobs are shown: table, JSON, the well-known text."""

import doctest
import json
from datetime import datetime, timedelta, timezone

import msgspec

from linodmgr.cli import jobs_shown
from linodmgr.cli.gather import Answered, Outcome, Unanswered
from linodmgr.cli.listing import Listed, ListedJob
from linodmgr.core.site import Site

NOW = datetime(2026, 11, 23, 18, 45, tzinfo=timezone.utc)
NOI = Site(name="noi", directory="/srv/noi")


def answered(*jobs: ListedJob, site: Site = NOI, kind: str = "lino", uses_linod: bool = True) -> Answered:
    return Answered(site, Listed(uses_linod, list(jobs), kind=kind), NOW)


def job(**changes: object) -> ListedJob:
    return msgspec.structs.replace(
        ListedJob("tasks.send every 10 seconds 1", "send", "every 10 seconds", interval=10.0), **changes
    )


def cells(*outcomes: Outcome) -> list[list[str]]:
    return jobs_shown.rows(outcomes)


def test_the_examples_are_true() -> None:
    outcome = doctest.testmod(jobs_shown)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_a_job_is_a_row_with_times_relative_to_now() -> None:
    ran = job(last_run=NOW - timedelta(seconds=12), next_run=NOW + timedelta(hours=2, minutes=3))

    assert cells(answered(ran)) == [["noi", "send", "every 10 seconds", "12 s ago", "in 2 h 3 min", "ok"]]


def test_a_job_whose_time_has_come_is_due() -> None:
    ((*_, next_run, _),) = cells(answered(job(next_run=NOW - timedelta(seconds=75))))

    assert next_run == "due for 75 s"


def test_only_a_site_that_remembers_can_say_never() -> None:
    asked = [answered(job(), kind="lino"), answered(job(), kind="schedule")]

    assert [row[3] for row in cells(*asked)] == ["never", "-"]


def test_a_disabled_job_says_why() -> None:
    ((*_, state),) = cells(answered(job(enabled=False, why="it raised")))

    assert state == "DISABLED: it raised"


def test_the_jobs_of_a_site_that_is_not_enabled_have_no_state() -> None:
    off = Site(name="noi", directory="/srv/noi", enabled=False)

    ((*_, state),) = cells(answered(job(), site=off))

    assert state == "-"


def test_sites_without_jobs_and_sites_that_did_not_answer_have_a_row_each() -> None:
    rows = cells(answered(), answered(uses_linod=False), Unanswered(NOI, "exited with status 1"))

    assert [row[0] for row in rows] == ["noi"] * 3
    assert [row[-1] for row in rows] == ["no jobs", "does not use linod", "exited with status 1"]


def test_a_job_that_its_site_says_is_running_is_shown_so() -> None:
    [row] = cells(answered(job(running=True)))

    assert row[-1] == "running"


def test_the_json_has_the_promised_fields_and_unknown_is_null() -> None:
    failed = Unanswered(NOI, "exited with status 1")
    outcomes: list[Outcome] = [answered(job(next_run=NOW)), answered(), failed]

    shown = json.loads(msgspec.json.encode(jobs_shown.report(outcomes)))

    assert shown == {
        "jobs": [
            {
                "site": "noi",
                "id": "tasks.send every 10 seconds 1",
                "name": "send",
                "schedule": "every 10 seconds",
                "last_run": None,
                "next_run": "2026-11-23T18:45:00Z",
                "outcome": None,
                "duration": None,
                "state": "ok",
                "enabled": True,
                "why": None,
                "interval": 10.0,
                "at": None,
            }
        ],
        "problems": [{"site": "noi", "reason": "exited with status 1"}],
        "idle": [{"site": "noi", "reason": "no jobs"}],
    }


def test_states_have_colours() -> None:
    words = ["ok", "-", "no jobs", "DISABLED: it raised", "exited with status 1"]

    assert [jobs_shown.style(word) for word in words] == ["green", "dim", "dim", "yellow", "red"]
