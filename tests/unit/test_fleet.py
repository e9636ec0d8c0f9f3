"""All workers together: pacing, the queue, the next deadline."""

import math

import pytest

from linodmgr.core.effects import Spawn, Terminate
from linodmgr.core.fleet import Fleet, Order
from linodmgr.core.site import Policy
from linodmgr.core.states import (
    BecameReady,
    Connected,
    Event,
    Exited,
    Queued,
    Remedy,
    RestartWanted,
    Running,
    Spawned,
    SpawnFailed,
    Spawning,
    Stopped,
    Tick,
    Waiting,
    Wanted,
)
from linodmgr.core.worker import SLOT_SECONDS
from tests.story import DOWN, UP

NAMES = ("noi", "cosi", "tera", "amici")


def fleet_of(*names: str, starts_at_once: int = 2) -> Fleet:
    fleet = Fleet(starts_at_once)
    for name in names:
        fleet.add(name, Policy())
    return fleet


def all_told(fleet: Fleet, event: Event, now: float = 0.0) -> list[Order]:
    return [order for name in fleet for order in fleet.take(name, event, now)]


def spawned(fleet: Fleet, *names: str, now: float = 0.0) -> list[Order]:
    """Let there be a process for each of ``names``; its pid is its place in NAMES."""
    return [order for name in names for order in fleet.take(name, Spawned(NAMES.index(name)), now)]


def test_a_new_site_has_a_worker_that_nobody_wants_yet() -> None:
    fleet = fleet_of("noi", "cosi")

    assert list(fleet) == ["noi", "cosi"]
    assert "noi" in fleet
    assert "tera" not in fleet
    assert isinstance(fleet["noi"].state, Stopped)


def test_only_so_many_workers_are_starting_together() -> None:
    fleet = fleet_of(*NAMES, starts_at_once=2)

    orders = all_told(fleet, Wanted(UP))

    assert orders == [("noi", Spawn()), ("cosi", Spawn())]
    assert isinstance(fleet["tera"].state, Queued)
    assert isinstance(fleet["amici"].state, Queued)


def test_without_a_limit_all_start_at_once() -> None:
    fleet = fleet_of(*NAMES, starts_at_once=0)

    assert all_told(fleet, Wanted(UP)) == [(name, Spawn()) for name in NAMES]


def test_the_next_in_the_queue_starts_when_one_is_ready() -> None:
    fleet = fleet_of(*NAMES, starts_at_once=2)
    all_told(fleet, Wanted(UP))
    spawned(fleet, "noi", "cosi")

    assert fleet.take("cosi", BecameReady(), 3.0) == [("tera", Spawn())]
    assert fleet.take("noi", BecameReady(), 4.0) == [("amici", Spawn())]


@pytest.mark.parametrize(
    "end",
    [
        SpawnFailed("no venv", Remedy.RETRY),
        SpawnFailed("out of memory", Remedy.BACKOFF),
    ],
)
def test_a_start_that_was_not_possible_frees_its_slot(end: Event) -> None:
    fleet = fleet_of("noi", "cosi", starts_at_once=1)
    all_told(fleet, Wanted(UP))

    assert fleet.take("noi", end, 0.0) == [("cosi", Spawn())]


def test_a_death_while_starting_frees_the_slot() -> None:
    fleet = fleet_of("noi", "cosi", starts_at_once=1)
    all_told(fleet, Wanted(UP))
    spawned(fleet, "noi")

    assert fleet.take("noi", Exited(0, 1, "exited with status 1"), 0.2) == [("cosi", Spawn())]
    assert isinstance(fleet["noi"].state, Waiting)


def test_a_stop_while_starting_frees_the_slot() -> None:
    fleet = fleet_of("noi", "cosi", starts_at_once=1)
    all_told(fleet, Wanted(UP))
    spawned(fleet, "noi")

    assert fleet.take("noi", Wanted(DOWN), 0.2) == [("noi", Terminate(0)), ("cosi", Spawn())]


def test_hanging_starts_hold_up_the_others_for_half_a_minute_at_most() -> None:
    fleet = fleet_of(*NAMES, starts_at_once=2)
    all_told(fleet, Wanted(UP))
    spawned(fleet, "noi", "cosi")
    fleet.take("noi", Connected(), 1.0)
    fleet.take("cosi", Connected(), 1.0)

    assert fleet.deadline() == SLOT_SECONDS
    assert fleet.due(SLOT_SECONDS) == []
    assert fleet.admit(SLOT_SECONDS - 0.1) == []
    assert fleet.admit(SLOT_SECONDS) == [("tera", Spawn()), ("amici", Spawn())]
    assert fleet.deadline() > SLOT_SECONDS


def test_a_slow_start_that_nobody_waits_for_is_not_looked_at_for_its_slot() -> None:
    fleet = fleet_of("noi", starts_at_once=1)
    all_told(fleet, Wanted(UP))
    spawned(fleet, "noi")
    fleet.take("noi", Connected(), 1.0)

    assert fleet.deadline() == Policy().start_timeout


def test_a_late_word_of_a_slow_start_does_not_take_the_slot_back() -> None:
    fleet = fleet_of("noi", "cosi", "tera", starts_at_once=1)
    all_told(fleet, Wanted(UP))
    spawned(fleet, "noi")
    fleet.take("noi", Connected(), 1.0)
    assert fleet.admit(31.0) == [("cosi", Spawn())]

    fleet.take("noi", Connected(), 32.0)

    assert fleet.take("cosi", SpawnFailed("no venv", Remedy.RETRY), 32.0) == [("tera", Spawn())]


def test_a_restart_after_a_good_run_passes_the_queue() -> None:
    fleet = fleet_of("noi", "cosi", starts_at_once=1)
    fleet.take("noi", Wanted(UP), 0.0)
    spawned(fleet, "noi")
    fleet.take("noi", BecameReady(), 0.0)
    fleet.take("cosi", Wanted(UP), 99.0)
    assert fleet["cosi"].state == Spawning(paced=True)

    assert fleet.take("noi", Exited(0, -9, "ended by SIGKILL"), 100.0) == [("noi", Spawn())]


def test_a_mass_failure_is_paced_like_a_boot() -> None:
    fleet = fleet_of(*NAMES, starts_at_once=0)
    all_told(fleet, Wanted(UP))
    spawned(fleet, *NAMES)
    for name in NAMES:
        fleet.take(name, Exited(NAMES.index(name), 1, "exited with status 1"), 0.1)
    fleet.starts_at_once = 1

    orders = [order for name in fleet.due(1.1) for order in fleet.take(name, Tick(), 1.1)]

    assert len(orders) == 1
    assert sorted(type(fleet[name].state).__name__ for name in NAMES) == ["Queued"] * 3 + ["Spawning"]


def test_who_no_longer_wants_to_start_does_not_hold_up_the_queue() -> None:
    fleet = fleet_of("noi", "cosi", "tera", starts_at_once=1)
    all_told(fleet, Wanted(UP))
    fleet.take("cosi", Wanted(DOWN), 0.0)

    assert fleet.take("noi", SpawnFailed("no venv", Remedy.RETRY), 0.0) == [("tera", Spawn())]


def test_who_leaves_the_queue_and_comes_back_is_started_once() -> None:
    fleet = fleet_of("noi", "cosi", starts_at_once=1)
    all_told(fleet, Wanted(UP))
    for goal in (DOWN, UP, DOWN, UP):
        fleet.take("cosi", Wanted(goal), 0.0)

    assert fleet.take("noi", SpawnFailed("no venv", Remedy.RETRY), 0.0) == [("cosi", Spawn())]
    spawned(fleet, "cosi")
    assert fleet.take("cosi", BecameReady(), 0.0) == []


def test_a_removed_site_leaves_no_trace() -> None:
    fleet = fleet_of("noi", "cosi", "tera", starts_at_once=1)
    all_told(fleet, Wanted(UP))
    fleet.remove("cosi")
    fleet.take("noi", SpawnFailed("out of memory", Remedy.BACKOFF), 0.0)
    fleet.remove("noi")

    assert list(fleet) == ["tera"]
    assert fleet.deadline() == math.inf
    assert fleet.due(1e9) == []


def test_a_site_that_is_added_again_keeps_its_worker_and_gets_the_new_policy() -> None:
    fleet = fleet_of("noi")
    fleet.take("noi", Wanted(UP), 0.0)
    spawned(fleet, "noi")
    fleet.take("noi", BecameReady(), 0.0)

    fleet.add("noi", Policy(good_run=1.0))

    assert isinstance(fleet["noi"].state, Running)
    assert fleet.take("noi", Exited(0, 1, "exited with status 1"), 2.0) == [("noi", Spawn())]


def test_the_next_deadline_is_the_earliest_of_all() -> None:
    fleet = fleet_of("noi", "cosi", starts_at_once=0)
    all_told(fleet, Wanted(UP))
    spawned(fleet, "noi", now=2.0)
    spawned(fleet, "cosi", now=1.0)

    assert fleet.deadline() == 6.0
    assert fleet.due(5.9) == []
    assert fleet.due(7.0) == ["cosi", "noi"]


def test_a_deadline_that_no_longer_holds_wakes_nobody() -> None:
    fleet = fleet_of("noi")
    fleet.take("noi", Wanted(UP), 0.0)
    spawned(fleet, "noi")
    assert fleet.deadline() == 5.0

    fleet.take("noi", Connected(), 1.0)
    assert fleet.due(5.0) == []

    fleet.take("noi", BecameReady(), 2.0)
    assert fleet.deadline() == math.inf


def test_an_idle_fleet_wakes_never() -> None:
    fleet = fleet_of(*NAMES, starts_at_once=2)
    all_told(fleet, Wanted(UP))
    for name in NAMES:
        spawned(fleet, name)
        fleet.take(name, BecameReady(), 3.0)

    assert all(isinstance(fleet[name].state, Running) for name in NAMES)
    assert fleet.deadline() == math.inf


def test_a_restart_of_all_is_paced() -> None:
    fleet = fleet_of(*NAMES, starts_at_once=1)
    all_told(fleet, Wanted(UP))
    for name in NAMES:
        spawned(fleet, name)
        fleet.take(name, BecameReady(), 3.0)

    assert all_told(fleet, RestartWanted(), 9.0) == [(name, Terminate(NAMES.index(name))) for name in NAMES]
    orders = [
        order
        for name in NAMES
        for order in fleet.take(name, Exited(NAMES.index(name), 0, "exited with status 0"), 10.0)
    ]

    assert orders == [("noi", Spawn())]


def test_who_is_taken_over_keeps_slot_deadline_and_place_in_the_queue() -> None:
    first = fleet_of(*NAMES, starts_at_once=1)
    all_told(first, Wanted(UP))
    spawned(first, "noi", now=1.0)
    first.take("tera", Wanted(DOWN), 1.0)
    second = fleet_of(*NAMES, starts_at_once=1)
    assert first.queued() == ["cosi", "amici"]

    for name in (*first.queued(), "noi", "tera"):
        second.put(name, first[name])

    assert [second[name] for name in NAMES] == [first[name] for name in NAMES]
    assert second.queued() == ["cosi", "amici"]
    assert second.deadline() == first.deadline()
    assert second.admit(2.0) == []
    assert second.take("noi", BecameReady(), 2.0) == [("cosi", Spawn())]
    second.remove("amici")
    assert second.queued() == []
