"""What a site tells does no harm, however wrong, long or much it is."""

import math

import pytest

from linodmgr.core import jobs as core_jobs
from linodmgr.core.facts import KnownJob
from linodmgr.core.job import Job
from linodmgr.core.jobs import SiteJobs
from linodmgr.core.told import LAST_INSTANT, LONGEST_SPAN, Definition, End, Run
from tests.told_jobs import MAILS, NOW, WALL, begun, ended, known


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1.0, 1e300])
def test_impossible_numbers_are_unknown(number: float) -> None:
    site = SiteJobs()
    site.define("x", "", [Definition("j", interval=number, next_run=number, last_run=number)], first=True)
    site.begin(Run(1, "j", number, number, number), WALL, NOW)
    job = site.jobs["j"]

    assert (job.started, job.due, job.next_run) == (WALL, None, None)
    assert job.defined.interval is not None
    assert 0 <= job.defined.interval <= LONGEST_SPAN
    assert job.since == NOW

    fact = site.end(End(1, "j", number, "ok", number, next_run=number), WALL)

    assert fact is not None
    assert 0 <= fact.duration <= LONGEST_SPAN
    assert site.miss("j", number, number) is None
    assert site.move({"j": number}) == [KnownJob("j", "j")]
    assert site.jobs["j"].ended == WALL


def test_an_instant_may_be_as_late_as_a_calendar_goes() -> None:
    site = known(Definition("j", next_run=LAST_INSTANT))

    assert site.jobs["j"].next_run == LAST_INSTANT


def test_texts_are_short_printable_and_on_one_line() -> None:
    long = "\x1b[31m\n" + "x" * 100_000
    site = SiteJobs()
    site.define(long, long, [Definition(long, long, long, at=long, why=long, text=long)], first=True)
    site.begin(Run(1, long, WALL, asked=long, mark=long), WALL, NOW)
    fact = site.end(End(1, long, WALL, "exploded", 1.0, error=long, trace=f"{long}\n\x1b\tend"), WALL)

    (job,) = site.jobs.values()
    texts = [site.kind, site.zone, job.id, job.name, job.defined.schedule, job.defined.text, job.defined.why]
    assert all(text.isprintable() and len(text) <= 500 for text in texts)
    assert fact is not None
    assert (fact.outcome, fact.mark) == ("failed", "")
    assert len(fact.trace) == 4096
    assert fact.trace.endswith("\n \tend")


def test_a_job_without_a_name_is_called_by_its_id() -> None:
    assert known(Definition("tasks.mails")).jobs["tasks.mails"].name == "tasks.mails"


def test_of_too_many_jobs_those_that_are_gone_make_room() -> None:
    limit = core_jobs.JOBS_LIMIT
    site = SiteJobs()
    for generation in range(3):
        some = [Definition(f"{generation}.{number}") for number in range(limit // 2)]
        site.define("schedule", "", some, first=True)
        assert len(site.shown()) == limit // 2
    assert len(site.jobs) <= limit


def test_more_jobs_than_anybody_has_are_not_kept() -> None:
    limit = core_jobs.JOBS_LIMIT
    site = known(*(Definition(f"job{number}") for number in range(2 * limit)))

    assert len(site.jobs) == limit
    assert site.begin(begun(job="one more"), WALL, NOW) is None
    assert site.end(ended(job="one more"), WALL) is None
    assert site.miss("one more", WALL, None) is None
    site.adopt([Job(Definition("one more"))])
    assert "one more" not in site.jobs

    site.define("schedule", "", [MAILS], first=True)
    assert "tasks.mails" in site.jobs


def test_more_text_than_anybody_needs_is_not_kept() -> None:
    site = known(*(Definition(f"{number:0500}", text="x" * 300) for number in range(4000)))

    assert len(site.jobs) < 4000
    assert sum(len(job.id) + len(job.defined.text) for job in site.jobs.values()) <= core_jobs.TEXT_LIMIT


def test_a_job_may_not_become_as_long_as_it_likes_either() -> None:
    many = [Definition(str(number)) for number in range(2000)]
    site = known(*many)

    site.define(
        "schedule", "", [Definition(one.id, text="x" * 300, why="y" * 300) for one in many], first=True
    )

    texts = sum(len(job.defined.text) + len(job.defined.why) for job in site.jobs.values())
    assert 0 < texts <= core_jobs.TEXT_LIMIT
