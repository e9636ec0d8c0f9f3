"""What people are told of jobs: which there are, how one runs that they asked for, and the past."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.core.states import Goal, Wanted
from linodmgr.protocol import (
    Done,
    History,
    JobRun,
    Jobs,
    Refused,
    RunJob,
    SiteHistory,
    SiteJobs,
    Snapshot,
    Status,
)
from tests.eventually import eventually
from tests.real.job_desk import JobDesk, job_desk
from tests.real.job_plays import GOES, recorded, until, write_history

OBEYS = """\
ready()
while True:
    wish = hear("run")
    if wish["job"] == "check":
        tell(type="declined", asked=wish["asked"], reason="no such task any more")
        continue
    begin(1, asked=wish["asked"])
    hear("go on") if os.path.exists(report + ".slow") else None
    end(1, outcome="failed", error="ValueError: x", trace="Traceback")
"""


@pytest.fixture
def desk(runtime: Path) -> Iterator[JobDesk]:
    with job_desk(runtime) as made:
        yield made


def refusal(desk: JobDesk, request: RunJob) -> Refused:
    (last,) = desk.ask(request)
    assert isinstance(last, Refused)
    return last


def live(desk: JobDesk, name: str, play: str = "ready(); wait()") -> None:
    """Start a site and wait until its jobs are known."""
    desk.stage.perform(name, GOES + play)
    eventually(lambda: desk.stage.thread.do(lambda: desk.stage.book.of(name).live), "its jobs are known")


def test_jobs_of_a_live_worker_are_told_with_all_that_is_known(desk: JobDesk) -> None:
    play = "ready(); begin(1); end(1, outcome='failed', error='ValueError: x', next_run=time.time() + 60)\n"
    live(desk, "one", play + "begin(2, 'check'); wait()")
    until(desk.stage, "one", "mails", "failed")

    told = desk.jobs("one")

    mails, check = told.jobs
    assert (told.live, told.kind, told.zone, told.reason, told.lost) == (True, "schedule", "UTC", "", 0)
    assert told.as_of is not None
    assert (mails.id, mails.name, mails.state, mails.outcome) == ("mails", "send mails", "FAILED", "failed")
    assert (mails.duration, mails.error, mails.running_since) == (0.5, "ValueError: x", None)
    assert mails.last_run is not None
    assert mails.last_run.endswith("Z")
    assert (check.state, check.outcome) == ("running", None)
    assert check.running_since == check.last_run


def test_of_a_site_that_is_down_the_past_is_told_and_why_it_is_down(desk: JobDesk) -> None:
    desk.stage.add("one", "wait()")
    run = {"type": "ended", "job": "check", "name": "c", "at": 5.0, "outcome": "ok", "duration": 2.0}
    write_history(desk.stage, "one", run)

    told = desk.jobs("one")

    assert (told.live, told.reason, told.as_of) == (False, "STOPPED", None)
    assert [(job.id, job.name, job.last_run, job.state) for job in told.jobs] == [
        ("check", "c", "1970-01-01T00:00:05Z", "ok")
    ]


def test_of_an_unhooked_site_it_is_said_why_nothing_is_known(desk: JobDesk) -> None:
    desk.stage.perform("one", """connect(); say(HELLO, '{"type":"unhooked","reason":"too old"}'); wait()""")

    eventually(lambda: desk.jobs("one").reason == "runs unhooked: too old", "it is said")


def test_status_tells_of_jobs_that_need_attention(desk: JobDesk) -> None:
    live(desk, "one", "ready(); begin(1); end(1, outcome='failed', error='ValueError: x'); wait()")
    until(desk.stage, "one", "mails", "failed")

    snapshot, _ = desk.ask(Status())

    assert isinstance(snapshot, Snapshot)
    assert snapshot.sites[0].attention == ["send mails FAILED: ValueError: x"]


def test_a_run_that_was_asked_for_is_followed_to_its_end(desk: JobDesk) -> None:
    live(desk, "one", OBEYS)

    queued, running, failed, done = desk.ask(RunJob("one", "send mails"))

    states = [run.state for run in (queued, running, failed) if isinstance(run, JobRun)]
    assert states == ["queued", "running", "failed"]
    assert isinstance(failed, JobRun)
    assert (failed.job, failed.name, failed.duration) == ("mails", "send mails", 0.5)
    assert (failed.error, failed.trace) == ("ValueError: x", "Traceback")
    assert failed.log == str(desk.stage.home / "log" / "one.log")
    assert 0 < failed.log_from <= Path(failed.log).stat().st_size
    assert isinstance(done, Done)
    assert done.results == []
    assert recorded(desk.stage, "one", "ended")[0]["asked"]


def test_who_does_not_wait_is_answered_at_once(desk: JobDesk) -> None:
    live(desk, "one", OBEYS)

    queued, done = desk.ask(RunJob("one", "mails", wait=False))

    assert isinstance(queued, JobRun)
    assert queued.state == "queued"
    assert isinstance(done, Done)
    assert done.results == []
    until(desk.stage, "one", "mails", "failed")


def test_a_wish_that_cannot_be_fulfilled_is_refused_with_the_reason(desk: JobDesk) -> None:
    live(desk, "one", OBEYS)

    *_, refused = desk.ask(RunJob("one", "checkdata"))

    assert refused == Refused("cannot run 'checkdata' of 'one': no such task any more")


def test_a_worker_that_dies_meanwhile_is_the_end_of_the_run(desk: JobDesk) -> None:
    live(desk, "one", "ready(); begin(7, asked=hear('run')['asked']); sys.exit(3)")

    *_, failed, done = desk.ask(RunJob("one", "mails"))

    assert isinstance(failed, JobRun)
    assert isinstance(done, Done)
    assert (failed.state, done.results) == ("failed", [])
    assert failed.error.startswith("its worker exited with status 3 after ")


def test_a_worker_that_dies_before_it_begins_is_the_end_of_the_wish(desk: JobDesk) -> None:
    live(desk, "one", "ready(); hear('run'); sys.exit(3)")

    *_, failed, _ = desk.ask(RunJob("one", "mails"))

    assert isinstance(failed, JobRun)
    assert (failed.state, failed.error) == ("failed", "its worker exited with status 3")


def test_jobs_that_cannot_be_run_are_refused_in_words(desk: JobDesk) -> None:
    live(desk, "one")
    desk.stage.add("two", "wait()")

    unknown = refusal(desk, RunJob("one", "send"))
    assert unknown == Refused("cannot run 'send' of 'one': no such job: candidates send mails", 2)
    assert refusal(desk, RunJob("one", "x")).reason.endswith("no such job: candidates send mails, checkdata")
    assert refusal(desk, RunJob("two", "x")).reason == (
        "cannot run 'x' of 'two': its worker is not running: STOPPED"
    )
    assert refusal(desk, RunJob("*", "x")).reason == "cannot run 'x': several sites are meant: one, two"
    assert refusal(desk, RunJob("three", "x")).exit_code == 2


def test_a_name_that_several_jobs_have_is_refused_with_their_ids(desk: JobDesk) -> None:
    live(desk, "one", "JOBS[1]['name'] = 'send mails'; ready(); wait()")

    refused = refusal(desk, RunJob("one", "send mails"))

    assert refused.reason.endswith("several jobs have this name: candidates mails, check")


def test_a_client_that_leaves_leaves_nothing_behind(desk: JobDesk) -> None:
    live(desk, "one")
    listeners = desk.stage.thread.do(lambda: len(desk.stage.loop.listeners))

    for request in (RunJob("one", "mails"), Jobs(watch=True), Jobs(("one",), watch=True)):
        with desk.asking(request) as answers:
            next(answers)

    eventually(lambda: not desk.stage.thread.do(lambda: desk.control.clients), "all have left")
    assert desk.stage.thread.do(lambda: len(desk.stage.loop.listeners)) == listeners
    assert not desk.stage.book.watchers
    assert not desk.stage.book.wishes._wishes


def test_who_watches_is_told_again_of_what_changes(desk: JobDesk) -> None:
    live(desk, "one", OBEYS)
    live(desk, "two")

    with desk.asking(Jobs(watch=True)) as answers:
        assert [next(answers), next(answers)] == [desk.jobs("one"), desk.jobs("two")]
        desk.ask(RunJob("one", "mails"))
        seen = next(answers)
        assert isinstance(seen, SiteJobs)
        assert (seen.site, seen.jobs[0].outcome) == ("one", "failed")

        desk.stage.put("two", Wanted(Goal.DOWN))
        for answer in answers:
            if isinstance(answer, SiteJobs) and (answer.site, answer.live) == ("two", False):
                break


def test_who_watches_sees_a_job_become_late(desk: JobDesk) -> None:
    live(desk, "one", "JOBS[0]['next_run'] = time.time() - 29; ready(); wait()")

    with desk.asking(Jobs(("one",), watch=True)) as answers:
        assert any(isinstance(told, SiteJobs) and told.jobs[0].state == "late" for told in answers)


def test_the_past_is_told_oldest_first(desk: JobDesk) -> None:
    write_history(
        desk.stage,
        "one",
        {"type": "begun", "job": "check", "name": "c", "at": 3.0},
        {"type": "begun", "job": "check", "name": "c", "at": 9.0, "due": 8.0},
        {
            "type": "ended",
            "job": "check",
            "name": "c",
            "at": 3.0,
            "outcome": "failed",
            "duration": 2.0,
            "error": "x",
        },
        {"type": "missed", "job": "check", "name": "c", "due": 5.0},
        {"type": "exit", "at": 10.0, "cause": "exited with status 1", "uptime": 3.5, "output": ["bye"]},
        {"type": "quiet", "job": "mails", "name": "m", "runs": [[1.0, 0.5], [7.0, 0.5]]},
        "garbage",
    )
    desk.stage.add("one", "wait()")

    (told, done) = desk.ask(History())

    assert isinstance(told, SiteHistory)
    assert [(run.name, run.started[-3:-1], run.outcome) for run in told.runs] == [
        ("m", "01", "ok"),
        ("c", "03", "failed"),
        ("c", "05", "missed"),
        ("m", "07", "ok"),
        ("c", "09", "unknown"),
    ]
    assert [(end.cause, end.uptime, end.output) for end in told.exits] == [
        ("exited with status 1", 3.5, ("bye",))
    ]
    assert isinstance(done, Done)
    assert done.results == []
    for job, count in (("m", 2), ("mails", 2), ("check", 3), ("x", 0)):
        (told, _) = desk.ask(History(("one",), job))
        assert isinstance(told, SiteHistory)
        assert len(told.runs) == count
    (told, _) = desk.ask(History(limit=2))
    assert isinstance(told, SiteHistory)
    assert [run.started[-3:-1] for run in told.runs] == ["07", "09"]


def test_the_past_holds_quiet_runs_that_are_not_written_yet_but_none_under_way(desk: JobDesk) -> None:
    play = "ready(); begin(1); end(1); begin(2, 'check', stored=True); hear('stored'); wait()"
    live(desk, "one", play)
    recorded(desk.stage, "one", "begun")

    (told, _) = desk.ask(History(("one",)))

    assert isinstance(told, SiteHistory)
    assert [(run.job, run.outcome, run.duration) for run in told.runs] == [("mails", "ok", 0.5)]
