"""What sites.toml says of jobs: how long they may take, and what becomes of those that fail or are missed."""

from pathlib import Path

import pytest

from linodmgr.core.site import Site
from tests.configs import fatal, loaded, told, write

SITE = '[[site]]\ndirectory = "/srv/noi"\nuser = "me"\n'


def site(tmp_path: Path, text: str) -> Site:
    return loaded(write(tmp_path, text)).sites["noi"]


def test_failing_jobs_are_isolated_and_missed_ones_caught_up_unless_the_file_says_no(tmp_path: Path) -> None:
    usual = site(tmp_path, SITE)
    other = site(tmp_path, SITE + "isolate_jobs = false\ncatch_up = false\n")

    assert (usual.isolate_jobs, usual.catch_up, usual.jobs) == (True, True, {})
    assert (other.isolate_jobs, other.catch_up) == (False, False)


def test_single_jobs_have_their_own_limits_by_name_or_id(tmp_path: Path) -> None:
    text = (
        SITE
        + '[site.jobs.checkdata]\njob_timeout = "2h"\n[site.jobs."tasks.mails every 10 s"]\njob_timeout = 0\n'
    )

    assert site(tmp_path, text).jobs == {"checkdata": 7200.0, "tasks.mails every 10 s": 0.0}


def test_tables_of_several_sites_are_each_their_own(tmp_path: Path) -> None:
    second = '[[site]]\ndirectory = "/srv/cosi"\nuser = "me"\n[site.jobs.mails]\njob_timeout = 5\n'
    sites = loaded(write(tmp_path, SITE + "[site.jobs.check]\njob_timeout = 9\n" + second)).sites

    assert [one.jobs for one in sites.values()] == [{"check": 9.0}, {"mails": 5.0}]


def test_what_a_site_says_of_a_job_is_stronger_than_the_defaults(tmp_path: Path) -> None:
    defaults = "[defaults.jobs.check]\njob_timeout = 1\n[defaults.jobs.mails]\njob_timeout = 2\n"

    assert site(tmp_path, defaults + SITE + "[site.jobs.check]\njob_timeout = 9\n").jobs == {
        "check": 9.0,
        "mails": 2.0,
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("jobs = 3", "jobs: must be tables like [site.jobs.checkdata], got 3"),
        ("jobs.check = 3", "jobs.check: must be a table like { job_timeout = 60 }, got 3"),
        ("jobs.check.job_timeout = -1", "jobs.check.job_timeout: must be 0 or more, got -1"),
        ("jobs.check.job_timout = 1", "jobs.check: unknown key 'job_timout', did you mean 'job_timeout'?"),
        ("jobs.check.watchdog = 1", "jobs.check: unknown key 'watchdog'"),
        ('jobs."" = {}', "jobs: must have names of printable characters, got ''"),
        ("isolate_jobs = 1", "isolate_jobs: must be true or false, got 1"),
        ("isolate_job = true", "unknown key 'isolate_job', did you mean 'isolate_jobs'?"),
        ("catch_up = 'yes'", "catch_up: must be true or false, got 'yes'"),
    ],
)
def test_what_cannot_be_used_is_said_in_words(tmp_path: Path, text: str, problem: str) -> None:
    assert told(write(tmp_path, f"{SITE}{text}\n")) == [_at(problem)]


def test_all_that_is_wrong_with_jobs_is_told_at_once(tmp_path: Path) -> None:
    text = SITE + "[site.jobs.a]\njob_timeout = -1\nx = 1\n[site.jobs.b]\njob_timeout = 'long'\n"

    assert [line.partition(": ")[0] for line in told(write(tmp_path, text))] == [
        "site.noi.jobs.a.job_timeout",
        "site.noi.jobs.a",
        "site.noi.jobs.b.job_timeout",
    ]


def test_what_is_wrong_in_the_defaults_ends_a_daemon(tmp_path: Path) -> None:
    text = "[defaults.jobs.check]\njob_timout = 1\n" + SITE

    assert fatal(write(tmp_path, text)) == [
        "defaults.jobs.check: unknown key 'job_timout', did you mean 'job_timeout'?"
    ]


def _at(problem: str) -> str:
    return f"site.noi: {problem}" if problem.startswith("unknown") else f"site.noi.{problem}"
