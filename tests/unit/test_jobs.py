"""What is known of a site's jobs, from what its runners tell, in whatever order."""

import math

from linodmgr.core.facts import KnownJob, RunBegun, RunEnded, RunMissed
from linodmgr.core.jobs import SiteJobs
from linodmgr.core.told import Definition, End, Run
from tests.told_jobs import CHECK, MAILS, NOW, WALL, begun, ended, known


def test_a_quiet_run_is_told_so_and_moves_the_next_one() -> None:
    site = known()

    assert site.begin(begun(), WALL, NOW) is None
    mails = site.jobs["tasks.mails"]
    assert (mails.run, mails.started, site.underway) == (begun(), WALL, {"tasks.mails": mails})
    fact = site.end(ended(), WALL + 2)

    assert fact == RunEnded("tasks.mails", "mails", WALL, "ok", 2.0, next_run=WALL + 12, quiet=True)
    assert (mails.run, mails.outcome, mails.duration, mails.next_run) == (None, "ok", 2.0, WALL + 12)
    assert site.underway == {}


def test_the_begin_of_a_durable_run_uses_up_its_time_at_once() -> None:
    site = known()
    run = Run(3, "tasks.check", WALL, due=WALL - 1, following=WALL + 86399, stored=True, mark="7")

    assert site.begin(run, WALL, NOW) == RunBegun(
        "tasks.check", "check", WALL, WALL - 1, WALL + 86399, mark="7"
    )
    check = site.jobs["tasks.check"]
    assert (check.due, check.next_run) == (WALL - 1, WALL + 86399)


def test_a_run_that_a_person_asked_for_leaves_the_regular_time_alone() -> None:
    site = known()
    site.begin(Run(3, "tasks.check", WALL, stored=True, asked="1-1"), WALL, NOW)

    fact = site.end(End(3, "tasks.check", WALL + 1, "ok", 1.0, next_run=WALL + 60), WALL + 1)

    assert fact is not None
    assert (fact.asked, fact.quiet, site.jobs["tasks.check"].next_run) == (True, False, WALL + 60)


def test_a_run_without_a_next_one_leaves_no_time_that_has_passed() -> None:
    site = known()
    site.begin(begun(at=WALL + 10), WALL + 10, NOW)

    site.end(End(1, "tasks.mails", WALL + 11, "ok", 1.0), WALL + 11)
    assert site.jobs["tasks.mails"].next_run is None

    site.end(End(1, "tasks.check", WALL + 11, "ok", 1.0), WALL + 11)
    assert site.jobs["tasks.check"].next_run == WALL + 60


def test_what_is_told_twice_happens_once() -> None:
    site = known()
    run = Run(1, "tasks.check", WALL, stored=True)

    assert site.begin(run, WALL, NOW) is not None
    assert site.begin(run, WALL, NOW) is None
    assert site.end(ended(job="tasks.check"), WALL) is not None
    assert site.end(ended(job="tasks.check"), WALL) is None
    assert site.begin(run, WALL, NOW) is None
    assert not site.underway


def test_an_end_without_a_begin_is_a_run_all_the_same() -> None:
    site = known()

    fact = site.end(ended(outcome="failed"), WALL + 2)

    assert fact is not None
    assert (fact.at, fact.outcome, fact.quiet) == (WALL, "failed", False)
    assert site.jobs["tasks.mails"].started == WALL


def test_the_end_of_an_earlier_run_does_not_end_the_one_under_way() -> None:
    site = known()
    site.begin(begun(2), WALL, NOW)

    assert site.end(ended(1), WALL) is not None
    assert site.jobs["tasks.mails"].run == begun(2)
    assert site.begin(begun(1), WALL, NOW) is None
    assert site.jobs["tasks.mails"].run == begun(2)


def test_a_later_run_replaces_one_whose_end_was_lost() -> None:
    site = known()
    site.begin(begun(1), WALL, NOW)

    assert site.end(ended(2), WALL + 2) is not None
    assert site.jobs["tasks.mails"].run is None


def test_jobs_that_nobody_told_of_are_known_by_their_runs() -> None:
    site = known()
    site.begin(begun(job="tasks.new"), WALL, NOW)

    assert site.jobs["tasks.new"].name == "tasks.new"
    assert [job.id for job in site.shown()] == ["tasks.mails", "tasks.check"]


def test_jobs_in_several_lines_are_all_there_and_those_gone_are_kept_but_not_shown() -> None:
    site = SiteJobs()
    assert [job.id for job in site.shown()] == []

    assert site.define("schedule", "", [MAILS], first=True) == [
        KnownJob("tasks.mails", "mails", WALL + 10),
    ]
    site.define("schedule", "", [CHECK], first=False)
    assert [job.id for job in site.shown()] == ["tasks.mails", "tasks.check"]

    assert site.define("schedule", "", [CHECK], first=True) == []
    assert [job.id for job in site.shown()] == ["tasks.check"]
    assert "tasks.mails" in site.jobs


def test_a_site_that_remembers_its_last_runs_is_believed() -> None:
    site = known(Definition("linod.SystemTask:1", "check", last_run=WALL - 5))
    assert site.jobs["linod.SystemTask:1"].started == WALL - 5

    site.define("lino", "", [Definition("linod.SystemTask:1", "check", last_run=WALL - 50)], first=True)
    assert site.jobs["linod.SystemTask:1"].started == WALL - 5


def test_a_missed_time_is_noted_once() -> None:
    site = known()

    assert site.miss("tasks.check", WALL - 60, WALL + 9) == RunMissed(
        "tasks.check", "check", WALL - 60, WALL + 9
    )
    assert site.miss("tasks.check", WALL - 60, WALL + 9) is None
    assert site.jobs["tasks.check"].next_run == WALL + 9


def test_times_that_move_without_a_run_move() -> None:
    site = known()

    assert site.move({"tasks.check": None, "unknown": 5.0}) == [KnownJob("tasks.check", "check")]
    assert site.jobs["tasks.check"].next_run is None


def test_the_next_durable_run_is_known() -> None:
    assert SiteJobs().durable_due() == math.inf
    assert known().durable_due() == WALL + 60


# Restarts and reconnections.


def test_runs_of_a_dead_worker_have_failed_with_the_cause() -> None:
    site = known()
    site.tick(2)
    site.begin(begun(at=WALL), WALL, NOW)

    (fact,) = site.worker_ended("exited with status 0 after 3 s", WALL + 3)

    assert (fact.outcome, fact.error, fact.duration) == (
        "failed",
        "its worker exited with status 0 after 3 s",
        3.0,
    )
    assert (site.live, site.armed, site.lost, site.underway) == (False, False, 0, {})


def test_the_next_worker_counts_its_runs_from_the_beginning() -> None:
    site = known()
    site.begin(begun(5), WALL, NOW)
    site.end(ended(5), WALL)
    site.worker_ended("exited with status 1", WALL)

    site.begin(begun(1), WALL + 5, NOW + 5)

    assert site.jobs["tasks.mails"].run is not None


def test_a_run_that_is_told_to_a_new_daemon_has_been_running_since_it_began() -> None:
    site = known()
    site.begin(begun(at=WALL - 100), WALL, NOW)
    assert site.jobs["tasks.mails"].since == NOW - 100

    site.begin(begun(1, "tasks.check", at=WALL + 100), WALL, NOW)
    assert site.jobs["tasks.check"].since == NOW, "the clock has been set"
