"""Which jobs and loops hang, and what is known of them then."""

import math

from linodmgr.core.job import Hang, Limits
from linodmgr.core.told import Run
from tests.told_jobs import NOW, WALL, begun, ended, known


def test_a_loop_that_has_not_begun_has_no_watchdog() -> None:
    site = known()
    site.listen(WALL, NOW)

    assert site.deadline(Limits(watchdog=30.0)) == math.inf


def test_a_loop_without_a_sign_of_life_hangs() -> None:
    site = known()
    site.listen(WALL, NOW)
    site.tick(3)
    limits = Limits(watchdog=30.0)

    assert (site.lost, site.deadline(limits), site.deadline(Limits())) == (3, NOW + 30, math.inf)
    assert site.look(limits, WALL, NOW + 29.9) is None
    assert site.look(limits, WALL + 30, NOW + 30) == Hang(WALL + 30, "hung for 30 s")
    assert site.deadline(limits) == math.inf, "it is found once"


def test_while_a_job_runs_the_loop_may_be_silent() -> None:
    site = known()
    site.tick(0)
    site.begin(begun(), WALL, NOW)

    assert site.deadline(Limits(watchdog=30.0)) == math.inf
    assert site.deadline(Limits(30.0, 60.0)) == NOW + 60


def test_a_job_has_its_own_limit_by_id_or_by_name_or_none() -> None:
    site = known()
    mails = site.jobs["tasks.mails"]

    assert Limits(job_timeout=60.0).of(mails) == 60.0
    assert Limits(job_timeout=60.0, of_job={"mails": 5.0}).of(mails) == 5.0
    assert Limits(job_timeout=60.0, of_job={"mails": 5.0, "tasks.mails": 7.0}).of(mails) == 7.0
    assert Limits(job_timeout=60.0, of_job={"mails": 0.0}).of(mails) == math.inf


def test_a_job_that_runs_too_long_hangs_and_fails_with_the_place() -> None:
    site = known()
    site.begin(Run(1, "tasks.mails", WALL, thread=77, mark="5"), WALL, NOW)
    site.begin(begun(2, "tasks.check"), WALL, NOW)
    limits = Limits(job_timeout=0.0, of_job={"mails": 30.0})

    assert site.look(limits, WALL + 30, NOW + 30) == Hang(WALL + 30, "hung for 30 s", "tasks.mails", 77)
    mails, check = site.worker_ended("was killed by SIGKILL", WALL + 31, "tasks/jobs.py:12 fetch")

    assert mails.error == "hung for 30 s in tasks/jobs.py:12 fetch, its worker was killed"
    assert (mails.mark, site.jobs["tasks.mails"].mark) == ("5", "5")
    assert check.error == "something else hung, its worker was killed"
    assert site.hang is not None
    assert site.hang.words() == "hung for 30 s in tasks/jobs.py:12 fetch"


def test_a_loop_that_has_ended_is_told_with_its_reason() -> None:
    site = known()

    assert site.stall("Redis\nis gone", WALL).text == "ended: Redis is gone"
    assert site.worker_ended("was killed by SIGKILL", WALL + 1) == []
    assert site.hang is not None
    assert site.hang.words() == "ended: Redis is gone"


def test_a_run_that_is_woken_by_being_asked_for_its_stacks_has_hung_all_the_same() -> None:
    site = known()
    site.begin(begun(1), WALL, NOW)
    site.look(Limits(job_timeout=30.0), WALL + 30, NOW + 30)

    assert site.end(ended(1, at=WALL + 30), WALL + 30) is None
    assert site.begin(begun(2, at=WALL + 30), WALL + 30, NOW + 30) is None
    (fact,) = site.worker_ended("was killed by SIGKILL", WALL + 31)

    assert (fact.at, fact.error) == (WALL, "hung for 30 s, its worker was killed")
