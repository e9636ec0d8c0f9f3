"""What runners tell is kept, on the disk and through restarts, and told to the next runner."""

import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.core.states import Goal, RestartWanted, Wanted
from tests.eventually import eventually
from tests.real.job_plays import GOES, known, recently, recorded, records, until, write_history
from tests.real.puppets import Theatre, theatre


@pytest.fixture
def stage(runtime: Path) -> Iterator[Theatre]:
    with theatre(runtime) as made:
        yield made


def test_a_stored_beginning_is_on_the_disk_when_the_runner_is_told_so(stage: Theatre) -> None:
    stage.perform(
        "one",
        GOES + "ready(); begin(1, 'check', stored=True, due=5.0, following=9.0, mark='7'); hear('stored')\n"
        "print(open(os.path.dirname(report) + '/history/one.jsonl').read(), flush=True); wait()",
    )

    eventually(lambda: '"type":"begun"' in stage.output("one"), "it was on the disk")
    (begun,) = recorded(stage, "one", "begun")
    assert (begun["job"], begun["due"], begun["following"], begun["mark"]) == ("check", 5.0, 9.0, "7")


def test_the_history_is_for_nobody_else_s_eyes(stage: Theatre) -> None:
    stage.perform("one", "sys.exit(3)")
    recorded(stage, "one", "exit")

    assert stat.S_IMODE((stage.home / "history").stat().st_mode) == 0o700
    assert stat.S_IMODE((stage.home / "history" / "one.jsonl").stat().st_mode) == 0o600


def test_the_end_of_a_worker_is_kept_with_its_last_output(stage: Theatre) -> None:
    stage.perform("one", "for number in range(100): print('line', number)\nsys.exit(3)")

    (end, *_) = recorded(stage, "one", "exit")

    assert end["cause"] == "exited with status 3"
    assert end["uptime"] >= 0
    assert end["output"] == [f"line {number}" for number in range(80, 100)]


def test_an_end_that_was_wanted_is_told_so(stage: Theatre) -> None:
    stage.perform("one", GOES + "ready(); wait()")
    stage.until("one", "RUNNING")
    stage.put("one", Wanted(Goal.DOWN))

    (end,) = recorded(stage, "one", "exit")
    assert end["cause"] == "killed by SIGTERM, as it was asked to end"


def test_a_failure_is_kept_at_once_and_quiet_runs_are_not(stage: Theatre) -> None:
    play = "ready()\nfor run in (1, 2): begin(run); end(run)\n"
    play += "begin(3); end(3, outcome='failed', error='ValueError: x', trace='Traceback')\n"
    play += "begin(4); end(4); print('done', flush=True); wait()"
    stage.perform("one", GOES + play)

    (failed,) = recorded(stage, "one", "ended")
    assert (failed["error"], failed["trace"]) == ("ValueError: x", "Traceback")
    (quiet,) = recorded(stage, "one", "quiet")  # what happened before it, written with it
    assert len(quiet["runs"]) == 2


def test_quiet_runs_are_written_together_once_a_minute(runtime: Path) -> None:
    with theatre(runtime, gathered_for=0.3) as stage:
        stage.perform("one", GOES + "ready()\nfor run in range(20): begin(run); end(run)\nwait()")

        (quiet,) = recorded(stage, "one", "quiet")
        assert len(quiet["runs"]) == 20


def test_what_waits_to_be_written_is_written_at_the_end(runtime: Path) -> None:
    with theatre(runtime) as stage:
        stage.perform("one", GOES + "ready(); begin(1); end(1); print('done', flush=True); wait()")
        until(stage, "one", "mails", "ok")

    assert [len(one["runs"]) for one in records(stage, "one") if one["type"] == "quiet"] == [1]
    assert [one["type"] for one in records(stage, "one")].count("exit") == 1
    known = [one for one in records(stage, "one") if one["type"] == "jobs"]
    assert {job["id"] for one in known for job in one["jobs"]} == {"check"}  # the run tells of the other


def test_the_next_worker_is_told_the_past(stage: Theatre) -> None:
    play = "ready(); begin(1); end(1, next_run=99.0)\n"
    play += "begin(2, 'check', stored=True, due=5.0, following=9.0, mark='7'); hear('stored'); wait()"
    stage.perform("one", GOES + play)
    eventually(lambda: "stored" in stage.output("one"), "it is under way")

    stage.put("one", RestartWanted())

    eventually(lambda: stage.output("one").count("heard") > 3, "the next one has gone")
    (past,) = [line for line in stage.output("one").splitlines() if '"type":"past"' in line]
    mails, check = json.loads(past.removeprefix("heard "))["jobs"]
    assert (mails["id"], mails["outcome"], mails["next_run"]) == ("mails", "ok", 99.0)
    assert mails["started"] <= mails["ended"]
    assert (check["due"], check["next_run"], check["mark"], check["outcome"]) == (5.0, 9.0, "7", "failed")


def test_a_new_daemon_knows_the_past_and_damaged_lines_hide_nothing(stage: Theatre) -> None:
    at = recently()
    run = {
        "type": "ended",
        "job": "check",
        "name": "c",
        "at": at,
        "outcome": "ok",
        "duration": 2.0,
        "due": 7.0,
    }
    begun = {"type": "begun", "job": "mails", "name": "m", "at": at, "mark": "9"}
    write_history(stage, "one", "garbage", run, '{"type":"ended"', "\0\0\0", begun)

    stage.perform("one", GOES + "ready(); wait()")

    eventually(lambda: '"go"' in stage.output("one"), "it has gone")
    (past,) = [line for line in stage.output("one").splitlines() if '"type":"past"' in line]
    check, mails = json.loads(past.removeprefix("heard "))["jobs"]
    assert (check["started"], check["ended"], check["due"]) == (at, at + 2, 7.0)
    assert (mails["started"], mails["ended"], mails["mark"]) == (at, None, "9")


def test_a_very_long_past_comes_in_lines_that_a_runner_takes(stage: Theatre) -> None:
    jobs = [{"id": f"{number:0400}", "name": "x", "next_run": 5.0} for number in range(1000)]
    write_history(stage, "one", {"type": "jobs", "jobs": jobs})

    stage.perform("one", GOES + "ready(); print('gone', flush=True); wait()")

    eventually(lambda: "gone" in stage.output("one"), "it has gone")
    lines = [line for line in stage.output("one").splitlines() if '"type":"past"' in line]
    assert max(map(len, lines)) < 64 * 1024
    assert sum(len(json.loads(line.removeprefix("heard "))["jobs"]) for line in lines) == 1000


def test_who_does_not_listen_to_the_past_disturbs_nobody(stage: Theatre) -> None:
    jobs = [{"id": f"{number:0400}", "name": "x", "next_run": 5.0} for number in range(2000)]
    write_history(stage, "deaf", {"type": "jobs", "jobs": jobs})
    stage.perform("deaf", "connect(); say(HELLO); wait()")
    stage.perform("good", GOES + "ready(); wait()")

    stage.until("good", "RUNNING")


@pytest.mark.parametrize("what", ["directory", "link"])
def test_a_history_that_cannot_be_written_keeps_nobody_from_running(
    stage: Theatre, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = stage.home / "history" / "one.jsonl"
    if what == "directory":
        path.mkdir()
    else:
        path.symlink_to(stage.home / "elsewhere")
    stage.perform(
        "one", GOES + "ready(); begin(1, 'check', stored=True); begin(2, 'check', stored=True); wait()"
    )

    stage.until("one", "RUNNING")
    eventually(lambda: "cannot write its history" in caplog.text, "it is said")
    assert not (stage.home / "elsewhere").exists()
    stage.put("one", Wanted(Goal.DOWN))
    stage.until("one", "STOPPED")
    assert "stored" not in stage.output("one")
    assert caplog.text.count("cannot write its history") == 1


@pytest.mark.mounts
def test_on_a_full_disk_runs_go_on_and_the_history_goes_on_when_there_is_room(
    runtime: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = runtime / "history"
    disk.mkdir()
    assert os.system(f"mount -t tmpfs -o size=64k,mode=0700 linodmgr-test {disk}") == 0
    try:
        with theatre(runtime) as stage:
            (disk / "filler").write_bytes(b"x" * 60 * 1024)
            play = "ready()\nfor run in range(40): begin(run); end(run, outcome='failed', trace='t' * 4000)\n"
            play += "print('told', flush=True); hear('run'); begin(99); end(99, outcome='failed'); wait()"
            stage.perform("one", GOES + play)
            eventually(
                lambda: (job := known(stage, "one", "mails")) and job.last_number == 39, "all are known"
            )
            written = threading.Event()
            stage.thread.do(stage.history.read, "one", lambda _facts: written.set(), lambda _none: None)
            assert written.wait(20)
            eventually(lambda: "cannot write its history" in caplog.text, "it is said")
            stage.until("one", "RUNNING")

            (disk / "filler").unlink()
            assert stage.thread.do(stage.book.run_now, "one", "mails", "token")

            eventually(
                lambda: any(one["type"] == "ended" and "trace" not in one for one in records(stage, "one")),
                "it goes on",
            )
            assert caplog.text.count("cannot write its history") == 1
    finally:
        assert os.system(f"umount {disk}") == 0


def test_a_history_that_has_become_long_is_thinned_out(stage: Theatre) -> None:
    run = {"type": "ended", "job": "mails", "name": "m", "at": 5.0, "outcome": "ok", "duration": 2.0}
    path = write_history(stage, "one", *[{**run, "at": float(number)} for number in range(40_000)])
    size = path.stat().st_size
    assert size > 2 * 1024 * 1024

    stage.perform("one", "sys.exit(3)")

    recorded(stage, "one", "exit")
    eventually(lambda: path.stat().st_size < 100_000, "it is shorter")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len([one for one in records(stage, "one") if one["type"] == "ended"]) == 100
    assert [one for one in records(stage, "one") if one["type"] == "exit"]
