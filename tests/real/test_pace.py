"""Who is heard at once and who together with others, and that nothing wakes up for nothing."""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from linodmgr.core.states import Goal, Wanted
from linodmgr.daemon.alarm import Alarm
from linodmgr.daemon.ears import Ear
from linodmgr.daemon.runners import Runner
from tests.eventually import eventually
from tests.real.job_plays import GOES, until
from tests.real.loop_thread import LoopThread, loop_thread
from tests.real.puppets import Theatre, theatre


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    with loop_thread() as made:
        yield made


@pytest.fixture
def stage(runtime: Path) -> Iterator[Theatre]:
    with theatre(runtime) as made:
        yield made


def has_heard(heard: list[bytes], count: int) -> bool:
    """Whether so many bytes were heard."""
    return len(b"".join(heard)) == count


def waits(runner: Runner) -> bool:
    """Whether it is heard together with others."""
    return runner.ear is not None


def is_live(stage: Theatre, name: str) -> bool:
    """Whether the jobs of a site are known."""
    return stage.thread.do(lambda: stage.book.of(name).live)


def runner_of(stage: Theatre, name: str) -> Runner:
    found = stage.thread.do(lambda: stage.reports._runner_of(name))
    assert found is not None
    return found


def grown_up(stage: Theatre, name: str) -> Runner:
    """Return the runner of a site that is as if its worker had run for long."""
    runner = runner_of(stage, name)
    runner.young_until = 0.0
    stage.thread.do(stage.book.due_changed, name)
    return runner


def test_an_alarm_that_is_put_off_rings_when_it_was_due_first_and_not_without_need(
    thread: LoopThread,
) -> None:
    rung: list[str] = []
    alarm = thread.do(lambda: Alarm(lambda name, _is_overdue: rung.append(name)))
    now = thread.do(thread._loop.time)

    thread.do(alarm.not_after, "one", now + 3600)
    thread.do(alarm.not_after, "one", now + 0.1)
    thread.do(alarm.not_after, "one", now + 7200)
    eventually(lambda: rung == ["one"], "it rings")

    assert thread.timers() == []
    thread.do(alarm.not_after, "two", float("inf"))
    assert thread.timers() == []
    thread.do(alarm.not_after, "two", now + 3600)
    thread.do(alarm.close)
    assert thread.timers() == []


def test_an_alarm_says_whether_we_have_slept_too_long(thread: LoopThread) -> None:
    rung: list[tuple[str, bool]] = []
    alarm = thread.do(lambda: Alarm(lambda name, is_overdue: rung.append((name, is_overdue))))
    now = thread.do(thread._loop.time)

    thread.do(alarm.not_after, "late", now - 60)
    thread.do(alarm.not_after, "in time", now)

    eventually(lambda: sorted(rung) == [("in time", False), ("late", True)], "both have rung")


def test_an_ear_hears_everybody_and_rests_only_after_it_has_heard(thread: LoopThread) -> None:
    heard: list[bytes] = []
    ends = [socket.socketpair() for _ in range(3)]
    ear = thread.do(lambda: Ear(0.05))
    for _, here in ends:
        thread.do(ear.add, here.fileno(), lambda here=here: heard.append(here.recv(9)))
    try:
        for number in range(5):
            for there, _ in ends:
                there.send(b"%d" % number)
            eventually(partial(has_heard, heard, 3 * (number + 1)), "all are heard")

        eventually(lambda: not thread.timers(), "it listens and does not wake up")
        thread.do(ear.remove, ends[0][1].fileno())
        ends[0][0].send(b"x")
        ends[1][0].send(b"y")
        eventually(lambda: b"y" in heard, "the others are heard")
        assert b"x" not in heard
    finally:
        thread.do(ear.close)
        for pair in ends:
            for end in pair:
                end.close()


def test_a_runner_whose_words_can_wait_is_heard_all_the_same(stage: Theatre) -> None:
    play = "JOBS.pop(); ready()\nhear('run'); begin(1); end(1, outcome='warned'); wait()"
    stage.perform("one", GOES + play)
    eventually(lambda: is_live(stage, "one"), "its jobs are known")
    runner = grown_up(stage, "one")
    assert waits(runner)

    assert stage.thread.do(lambda: stage.book.run_now("one", "mails", "token") and not waits(runner))

    until(stage, "one", "mails", "warned")
    eventually(lambda: waits(runner), "it can wait again")


def test_who_is_about_to_begin_a_run_that_must_be_stored_is_heard_at_once(stage: Theatre) -> None:
    stage.perform("one", GOES + "JOBS[1]['next_run'] = time.time() + 0.5; ready(); wait()")
    stage.perform("two", GOES + "ready(); wait()")
    for name in ("one", "two"):
        eventually(partial(is_live, stage, name), "its jobs are known")

    assert grown_up(stage, "one").ear is None
    assert grown_up(stage, "two").ear is not None


def test_a_runner_that_ends_while_its_words_wait_has_been_heard(stage: Theatre) -> None:
    stage.perform("one", GOES + "JOBS.pop(); ready(); hear('run'); begin(1); end(1, outcome='warned')")
    eventually(lambda: is_live(stage, "one"), "its jobs are known")
    grown_up(stage, "one")
    stage.thread.do(stage.book.run_now, "one", "mails", "token")

    assert until(stage, "one", "mails", "warned").outcome == "warned"


def test_an_idle_fleet_without_watchdogs_never_wakes(stage: Theatre) -> None:
    stage.add("one", GOES + "JOBS.clear(); ready(); wait()")
    stage.limit("one", watchdog=0.0)
    stage.put("one", Wanted(Goal.UP))
    eventually(lambda: is_live(stage, "one"), "its jobs are known")
    grown_up(stage, "one")

    eventually(lambda: not _without_young(stage), "nothing is to come")


def _without_young(stage: Theatre) -> list[str]:
    """Return the timers that are to come, but for the one of a worker's youth, which is over soon."""
    alarm = stage.thread.do(lambda: stage.reports._pace._alarm)
    stage.thread.do(alarm.close)
    return [str(timer) for timer in stage.thread.timers()]
