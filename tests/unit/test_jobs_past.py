"""What is kept of the past is known again, and stays so when a history is thinned out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from linodmgr.core.facts import (
    Fact,
    KnownJob,
    KnownJobs,
    QuietRuns,
    RunBegun,
    RunEnded,
    RunMissed,
    WorkerExit,
)
from linodmgr.core.job import Job
from linodmgr.core.jobs import SiteJobs
from linodmgr.core.past import recall, remember
from linodmgr.core.told import Definition, Run
from linodmgr.daemon import records

WALL = 1_700_000_000.0
FAILED = RunEnded("j", "check", WALL, "failed", 2.0, due=WALL - 1, error="ValueError: x", next_run=WALL + 9)


def after(*facts: Fact) -> Job:
    site = SiteJobs()
    remember(site, facts)
    return site.jobs["j"]


def test_a_failure_is_known_again() -> None:
    job = after(FAILED)

    assert (job.name, job.started, job.ended, job.outcome) == ("check", WALL, WALL + 2, "failed")
    assert (job.error, job.due, job.next_run) == ("ValueError: x", WALL - 1, WALL + 9)


def test_a_run_whose_end_nobody_saw_is_known_with_its_mark_until_it_ends() -> None:
    begun = RunBegun("j", "check", WALL, WALL - 1, WALL + 99, mark="7")

    job = after(begun)
    assert (job.started, job.ended, job.mark, job.due, job.next_run) == (WALL, None, "7", WALL - 1, WALL + 99)

    assert after(begun, RunBegun("j", "check", WALL + 5)).due == WALL - 1
    assert after(begun, RunEnded("j", "check", WALL, "ok", 1.0)).mark == ""
    assert after(begun, RunEnded("j", "check", WALL, "failed", 1.0, mark="7")).mark == "7"


def test_of_quiet_runs_the_last_one_counts() -> None:
    job = after(FAILED, QuietRuns("j", "check", [(WALL + 10, 1.0), (WALL + 20, 2.0)], WALL + 30))

    assert (job.started, job.ended, job.outcome, job.error) == (WALL + 20, WALL + 22, "ok", "")
    assert after(FAILED, QuietRuns("j", "check", [])).started == WALL


def test_missed_and_moved_times_are_known_again() -> None:
    assert after(RunMissed("j", "check", WALL, WALL + 9)).missed == WALL
    assert after(FAILED, KnownJobs([KnownJob("j", "check", WALL + 50)])).next_run == WALL + 50
    assert after(FAILED, WorkerExit(WALL, "exited")).started == WALL


def test_what_was_seen_is_newer_than_what_is_kept() -> None:
    site = SiteJobs()
    site.define("schedule", "", [Definition("j", "check", next_run=WALL + 500)], first=True)
    site.begin(Run(1, "j", WALL + 100), WALL + 100, 5.0)
    site.miss("j", WALL + 50, WALL + 500)

    remember(site, [FAILED, RunMissed("j", "check", WALL - 99)])

    job = site.jobs["j"]
    assert (job.started, job.outcome, job.missed, job.next_run) == (WALL + 100, "", WALL + 50, WALL + 500)


NAMES = st.sampled_from(["a", "b"])
TIMES = st.integers(0, 50).map(lambda number: WALL + number)
MAYBE = st.none() | TIMES
FACTS = st.one_of(
    st.builds(RunBegun, NAMES, NAMES, TIMES, MAYBE, MAYBE, mark=st.sampled_from(["", "1"])),
    st.builds(
        RunEnded,
        NAMES,
        NAMES,
        TIMES,
        st.sampled_from(["ok", "failed", "warned"]),
        st.just(1.0),
        MAYBE,
        trace=st.sampled_from(["", "Traceback"]),
        next_run=MAYBE,
    ),
    st.builds(RunMissed, NAMES, NAMES, TIMES, MAYBE),
    st.builds(QuietRuns, NAMES, NAMES, st.lists(st.tuples(TIMES, st.just(1.0)), max_size=3), MAYBE),
    st.builds(KnownJobs, st.lists(st.builds(KnownJob, NAMES, NAMES, MAYBE), max_size=2)),
    st.builds(WorkerExit, TIMES, st.just("exited")),
)


def known(facts: list[Fact]) -> dict[str, tuple[object, ...]]:
    past: dict[str, Job] = {}
    for fact in facts:
        recall(past, fact)
    return {
        name: (job.started, job.ended, job.due, job.missed, job.next_run, job.mark, job.outcome)
        for name, job in past.items()
    }


@settings(derandomize=True, deadline=None)
@given(st.lists(FACTS, max_size=300))
def test_thinning_out_changes_nothing_of_what_is_known(facts: list[Fact]) -> None:
    written = b"".join(records.encode(fact) for fact in records.kept(facts, WALL))

    assert known(list(records.decode(written))) == known(facts)


def test_a_damaged_line_says_nothing_and_hides_no_other() -> None:
    lines = [b"garbage", b"", b"\xff", b"[" * 100_000, b'{"type":"ended"}', records.encode(FAILED)[:-9]]

    assert list(records.decode(b"\n".join([*lines, records.encode(FAILED)]))) == [FAILED]


def test_of_each_job_the_last_hundred_runs_are_kept_and_failures_for_a_month() -> None:
    def run(number: int, outcome: str) -> RunEnded:
        return RunEnded("j", "check", WALL + number, outcome, 1.0)

    old = RunEnded("j", "check", WALL - 31 * 86400, "failed", 1.0)
    facts = [old, *(run(number, "failed") for number in range(5)), *(run(n, "ok") for n in range(5, 205))]

    kept = [fact.at - WALL for fact in records.kept(list(facts), WALL) if isinstance(fact, RunEnded)]

    assert kept == [*range(5), *range(105, 205)]


def test_of_exits_the_last_hundred_are_kept_and_of_quiet_runs_too() -> None:
    facts: list[Fact] = [WorkerExit(WALL + number, "exited") for number in range(150)]
    facts += [QuietRuns("j", "check", [(WALL + 10 * n + m, 1.0) for m in range(10)]) for n in range(15)]

    kept = records.kept(facts, WALL)

    assert sum(isinstance(fact, WorkerExit) for fact in kept) == 100
    assert sum(len(fact.runs) for fact in kept if isinstance(fact, QuietRuns)) == 100


def test_what_is_kept_is_bounded_whatever_was_written() -> None:
    facts: list[Fact] = [
        RunEnded(f"{number % 5000:0500}", "x" * 200, WALL + number, "failed", 1.0, trace="y" * 4096)
        for number in range(20_000)
    ]

    assert sum(len(records.encode(fact)) for fact in records.kept(facts, WALL)) < 2 * records.SIZE_KEPT


def test_quiet_runs_are_written_a_line_per_job() -> None:
    runs = [
        RunEnded(job, job, WALL + number, "ok", 0.5, next_run=WALL + number + 10, quiet=True)
        for number in range(6)
        for job in "ab"
    ]

    assert list(records.gathered(runs)) == [
        QuietRuns(job, job, [(WALL + number, 0.5) for number in range(6)], WALL + 15) for job in "ab"
    ]
