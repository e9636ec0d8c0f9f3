"""What a site without a worker answers, together with what the daemon remembers of its jobs."""

from datetime import datetime, timedelta, timezone

import msgspec
import pytest

from linodmgr.cli import list_mode
from linodmgr.cli.gather import Answered, Unanswered
from linodmgr.cli.jobs_plain import lines
from linodmgr.cli.listing import Listed, ListedJob
from linodmgr.core.site import Site
from linodmgr.protocol import JobStatus, SiteJobs

NOW = datetime(2026, 11, 23, 18, 45, tzinfo=timezone.utc)
NOI = Site(name="noi", directory="/srv/noi")
DOES = "Every 1 day at 20:00:00 do send()"
TEXT = f"{DOES} (last run: [never], next run: 2026-11-23 20:00:00)"


def listed(**changes: object) -> ListedJob:
    job = ListedJob("1", "send", "every day at 20:00", next_run=NOW + timedelta(hours=1), text=TEXT)
    return msgspec.structs.replace(job, **changes)


def answered(*jobs: ListedJob, site: Site = NOI, uses_linod: bool = True) -> Answered:
    return Answered(site, Listed(uses_linod, list(jobs), kind="schedule"), NOW)


def past(state: str = "ok", **known: object) -> SiteJobs:
    job = JobStatus("1", "send", "every day at 20:00", state, last_run="2026-11-22T19:00:00Z", outcome="ok")
    return SiteJobs("noi", False, [msgspec.structs.replace(job, **known)], zone="Europe/Brussels")


def job_of(outcome: Answered, known: SiteJobs | None = None) -> JobStatus:
    [job] = list_mode.told(outcome, known).jobs.jobs
    return job


def test_a_site_alone_knows_no_last_run() -> None:
    job = job_of(answered(listed()))

    assert (job.state, job.last_run, job.outcome) == ("ok", None, None)
    assert job.next_run == "2026-11-23T19:45:00Z"


def test_the_daemon_adds_what_it_remembers_of_the_same_job() -> None:
    job = job_of(answered(listed()), past("FAILED", outcome="failed", duration=3.0, error="ValueError: x"))

    assert (job.state, job.error, job.last_run) == ("FAILED", "ValueError: x", "2026-11-22T19:00:00Z")
    assert (job.outcome, job.duration, job.next_run) == ("failed", 3.0, "2026-11-23T19:45:00Z")


def test_what_it_remembers_of_another_job_does_not_count() -> None:
    assert job_of(answered(listed(id="2")), past()).last_run is None


@pytest.mark.parametrize("state", ["running", "LONG", "late", "DISABLED"])
def test_what_only_a_worker_can_tell_is_not_remembered(state: str) -> None:
    assert job_of(answered(listed()), past(state)).state == "ok"


def test_what_the_database_of_the_site_says_is_stronger() -> None:
    assert job_of(answered(listed(enabled=False, why="it raised")), past("FAILED")).state == "DISABLED"
    assert job_of(answered(listed(running=True)), past("FAILED")).state == "running"


def test_the_jobs_of_a_site_that_is_not_enabled_have_no_state() -> None:
    off = Site(name="noi", directory="/srv/noi", enabled=False)

    assert job_of(answered(listed(), site=off)).state == ""


def test_the_well_known_text_tells_the_true_last_run_in_the_zone_of_the_site() -> None:
    assert lines(list_mode.told(answered(listed()), past())) == [
        "1 scheduled jobs:",
        f"[1] {DOES} (last run: 2026-11-22 20:00:00, next run: 2026-11-23 20:00:00)",
    ]
    assert lines(list_mode.told(answered(listed())))[1] == f"[1] {TEXT}"


def test_the_well_known_text_of_sites_without_jobs_is_that_of_lino() -> None:
    assert lines(list_mode.told(answered())) == ["This site has no scheduled jobs."]
    assert lines(list_mode.told(answered(uses_linod=False))) == ["This site does not use linod."]


def test_a_site_that_did_not_answer_is_a_problem() -> None:
    told = list_mode.told(Unanswered(NOI, "exited with status 1"), past())

    assert (told.site, told.problem, told.jobs.jobs) == ("noi", "exited with status 1", [])
