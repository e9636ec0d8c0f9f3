"""Event in → core → effects out, in a real asyncio loop; only the processes are played."""

import logging
from collections.abc import Iterator

import pytest

from linodmgr.core import shown
from linodmgr.core.site import Policy, Site
from linodmgr.core.states import BecameReady, Event, Goal, Remedy, RestartWanted, Wanted
from linodmgr.core.worker import pid_of
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.spawning import SpawnError
from tests.eventually import eventually
from tests.fakes import FakeProcesses
from tests.real.loop_thread import LoopThread, loop_thread

UP, DOWN = Wanted(Goal.UP), Wanted(Goal.DOWN)
QUICK = Policy(settle=0.02, good_run=1e-9, stop_timeout=60.0, backoff_max=0.05)
PATIENT = Policy(settle=60.0, backoff_max=60.0)


class Stage:
    """A loop with played processes."""

    def __init__(self, thread: LoopThread) -> None:
        self.thread = thread
        self.processes = FakeProcesses()
        self.loop = thread.do(Loop, self.processes, 0)

    def add(self, name: str, policy: Policy = QUICK, problem: str = "") -> None:
        self.thread.do(self.loop.add, Site(name=name, directory="/nowhere", policy=policy, problem=problem))

    def put(self, name: str, event: Event) -> None:
        self.thread.do(self.loop.put, name, event)

    def word(self, name: str) -> str:
        return self.thread.do(lambda: shown.word(self.loop.fleet[name]))

    def pid(self, name: str) -> int | None:
        return self.thread.do(lambda: pid_of(self.loop.fleet[name]))

    def until(self, name: str, word: str) -> None:
        eventually(lambda: self.word(name) == word, f"{name} is {word}")

    def running(self, name: str, policy: Policy = QUICK) -> int:
        """Return the pid of a new worker that is RUNNING."""
        self.add(name, policy)
        self.put(name, UP)
        self.put(name, BecameReady())
        pid = self.pid(name)
        assert pid is not None
        return pid


@pytest.fixture
def stage() -> Iterator[Stage]:
    with loop_thread() as thread:
        yield Stage(thread)


def test_a_wanted_worker_is_started_and_runs_once_it_has_settled(stage: Stage) -> None:
    stage.add("one")
    stage.put("one", UP)

    assert [site.name for site in stage.processes.alive.values()] == ["one"]
    stage.until("one", "RUNNING")
    assert stage.thread.timers() == []


def test_a_worker_that_says_ready_runs_at_once(stage: Stage) -> None:
    stage.add("one", PATIENT)
    stage.put("one", UP)
    assert stage.word("one") == "STARTING"

    stage.put("one", BecameReady())

    assert stage.word("one") == "RUNNING"


def test_a_worker_that_ran_well_has_its_successor_before_anything_else_happens(stage: Stage) -> None:
    pid = stage.running("one", Policy(good_run=1e-9))

    def die() -> tuple[str, int | None]:
        stage.processes.exit(pid, 1)
        return shown.word(stage.loop.fleet["one"]), pid_of(stage.loop.fleet["one"])

    word, successor = stage.thread.do(die)
    assert word == "STARTING"
    assert successor not in (None, pid)


def test_an_early_death_waits_for_its_turn_and_says_why(stage: Stage) -> None:
    stage.add("one", PATIENT)
    stage.put("one", UP)
    pid = stage.pid("one")
    assert pid is not None

    stage.thread.do(stage.processes.exit, pid, -9)

    assert stage.word("one") == "BACKOFF"
    assert stage.thread.do(stage.loop.reason, "one").startswith("killed by SIGKILL after 0.")
    assert len(stage.thread.timers()) == 1


def test_a_worker_that_dies_early_comes_back_by_itself(stage: Stage) -> None:
    stage.add("one")
    stage.put("one", UP)
    pid = stage.pid("one")
    assert pid is not None

    stage.thread.do(stage.processes.exit, pid, 1)

    eventually(lambda: stage.pid("one") not in (None, pid), "it is there again")


def test_a_stop_is_asked_for_once_and_kills_only_who_ignores_it(stage: Stage) -> None:
    good = stage.running("good")
    deaf = stage.running("deaf", Policy(stop_timeout=0.05))
    stage.processes.deaf.add("deaf")

    stage.put("good", DOWN)
    stage.put("deaf", DOWN)
    assert stage.processes.signals == [(good, "stop"), (deaf, "stop")]
    stage.thread.do(stage.processes.obey)
    assert (stage.word("good"), stage.word("deaf")) == ("STOPPED", "STOPPING")

    eventually(lambda: (deaf, "kill") in stage.processes.signals, "it is killed")
    assert (good, "kill") not in stage.processes.signals
    stage.thread.do(stage.processes.obey)
    assert stage.word("deaf") == "STOPPED"
    assert stage.thread.timers() == []


def test_a_restart_takes_a_new_process_after_the_old_one_has_gone(stage: Stage) -> None:
    pid = stage.running("one")

    stage.put("one", RestartWanted())

    assert list(stage.processes.alive) == [pid]
    stage.thread.do(stage.processes.obey)
    assert stage.pid("one") not in (None, pid)


def test_what_is_scarce_is_tried_again_soon(stage: Stage) -> None:
    stage.processes.failing["one"] = SpawnError("cannot execute: out of processes", Remedy.BACKOFF)
    stage.add("one")
    stage.put("one", UP)

    stage.until("one", "BACKOFF")
    assert "out of processes, next try in" in stage.thread.do(stage.loop.reason, "one")
    stage.thread.do(stage.processes.failing.clear)
    stage.until("one", "RUNNING")


def test_what_is_missing_blocks_and_is_tried_again(stage: Stage) -> None:
    stage.processes.failing["one"] = SpawnError("no such file", Remedy.RETRY)
    stage.add("one")
    stage.put("one", UP)

    stage.until("one", "BLOCKED")
    stage.thread.do(stage.processes.failing.clear)
    stage.until("one", "RUNNING")


def test_tries_in_vain_do_not_change_since_when_a_site_is_blocked(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tries = 0

    def count(name: str) -> None:
        nonlocal tries
        tries += shown.word(stage.loop.fleet[name]) == "BLOCKED"

    stage.thread.do(stage.loop.listeners.add, count)
    stage.processes.failing["one"] = SpawnError("no such file", Remedy.RETRY)
    stage.add("one", QUICK)
    stage.put("one", UP)

    eventually(lambda: tries > 2, "it is tried again")
    stage.until("one", "BLOCKED")
    assert stage.thread.do(stage.loop.state_age, "one") > QUICK.backoff_max * 1.9
    assert [line.partition(",")[0] for line in caplog.messages] == ["one: BLOCKED: no such file"]
    stage.processes.failing["one"] = SpawnError("another linod runs", Remedy.RETRY)
    eventually(lambda: "another linod runs" in caplog.messages[-1], "a new reason is said")


def test_a_problem_of_the_configuration_blocks_without_a_timer(stage: Stage) -> None:
    stage.add("one", problem="umask: must be octal digits")
    stage.put("one", UP)

    assert stage.word("one") == "BLOCKED"
    assert stage.thread.do(stage.loop.reason, "one") == "umask: must be octal digits"
    assert stage.thread.timers() == []


def test_an_idle_fleet_has_no_timer(stage: Stage) -> None:
    for number in range(20):
        stage.running(f"site{number}")

    assert stage.thread.timers() == []


def test_the_timer_is_the_earliest_deadline_and_goes_with_it(stage: Stage) -> None:
    for name, policy in (("soon", Policy(settle=30.0)), ("late", Policy(settle=90.0))):
        stage.add(name, policy)
        stage.put(name, UP)
    [soon] = stage.thread.timers()

    stage.put("soon", BecameReady())
    [late] = stage.thread.timers()
    assert late.when() > soon.when()

    stage.put("late", BecameReady())
    assert stage.thread.timers() == []


def test_a_waiting_worker_that_nobody_wants_any_more_leaves_no_timer(stage: Stage) -> None:
    stage.processes.failing["one"] = SpawnError("cannot execute", Remedy.BACKOFF)
    stage.add("one", PATIENT)
    stage.put("one", UP)
    assert len(stage.thread.timers()) == 1

    stage.put("one", DOWN)

    assert stage.word("one") == "STOPPED"
    assert stage.thread.timers() == []


def test_starts_wait_for_their_turn(stage: Stage) -> None:
    stage.loop.fleet.starts_at_once = 1
    for name in ("one", "two"):
        stage.add(name, PATIENT)
        stage.put(name, UP)
    assert (stage.word("one"), stage.word("two")) == ("STARTING", "QUEUED")

    stage.put("one", BecameReady())

    assert (stage.word("one"), stage.word("two")) == ("RUNNING", "STARTING")


def test_events_for_a_site_that_is_not_known_any_more_are_nobodys(stage: Stage) -> None:
    stage.add("one")
    stage.thread.do(stage.loop.remove, "one")

    stage.put("one", UP)

    assert stage.processes.alive == {}


def test_a_spawn_that_goes_wrong_as_nobody_has_thought_of_loses_no_site(stage: Stage) -> None:
    stage.loop.fleet.starts_at_once = 1
    for name in ("first", "odd", "last"):
        stage.add(name, Policy(backoff_max=0.05))
    stage.put("first", UP)
    stage.put("odd", UP)
    stage.put("last", UP)
    stage.processes.surprises.add("odd")

    stage.put("first", BecameReady())

    assert stage.word("odd") == "BACKOFF"
    assert stage.word("last") == "STARTING"
    stage.thread.do(stage.processes.surprises.clear)
    stage.put("last", BecameReady())
    eventually(lambda: stage.word("odd") == "STARTING", "it is tried again")


def test_a_listener_that_goes_wrong_disturbs_nobody(stage: Stage) -> None:
    def go_wrong(_name: str) -> None:
        raise ValueError("nobody thought of this")

    told: list[str] = []
    stage.loop.listeners.add(go_wrong)
    stage.loop.listeners.add(told.append)

    stage.running("one")

    assert stage.word("one") == "RUNNING"
    assert set(told) == {"one"}
