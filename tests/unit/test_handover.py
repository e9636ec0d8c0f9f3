"""What is handed over by an upgrade: all of it arrives, also from an earlier version."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from linodmgr.core.jobs import SiteJobs
from linodmgr.core.states import (
    Blocked,
    Finished,
    Goal,
    Hooks,
    Lacking,
    Queued,
    Remarking,
    Resting,
    Running,
    Spawning,
    Starting,
    State,
    Stopped,
    Stopping,
    Waiting,
    Worker,
)
from linodmgr.core.told import Definition, Run
from linodmgr.daemon import handover, values
from linodmgr.daemon.handover import HandedBook, HandedRunner, Handover

STATES: list[State] = [
    Stopped("its turn is over"),
    Queued(),
    Spawning(paced=True),
    Starting(12, 1.5, 6.5, -math.inf, Hooks.FIT, Resting("no jobs")),
    Running(12, 1.5, 6.5, ready=True, words=Lacking("no module")),
    Running(12, 1.5, 6.5, ready=False, words=Remarking("bye")),
    Waiting("exited with status 1", 7.25),
    Stopping(12, 1.5, 31.5, "hung", hung=True),
    Finished("no jobs"),
    Blocked("no virtualenv", math.inf),
]


@contextmanager
def stored(state: Any) -> Iterator[int]:
    """Yield a file in memory that holds ``state``."""
    file = os.memfd_create("state")
    try:
        os.write(file, state if isinstance(state, bytes) else msgspec.msgpack.encode(state))
        yield file
    finally:
        os.close(file)


def least(**more: Any) -> dict[str, Any]:
    """Return what every version has handed over."""
    numbers = {"lock": 3, "control": 4, "report": 5}
    return {"version": "0.1.0", "config": {}, "open_files": [1024, 4096], "workers": [], **numbers, **more}


@pytest.mark.parametrize("state", STATES, ids=lambda state: type(state).__name__)
def test_a_worker_arrives_as_it_was(state: State) -> None:
    worker = Worker(Goal.UP, state, early_deaths=4, restarts=7)
    packed = msgspec.msgpack.decode(msgspec.msgpack.encode(values.pack(worker)))

    assert values.worker(packed) == worker


def test_fields_that_a_version_does_not_know_are_left_out() -> None:
    name, fields = values.pack(Worker(Goal.UP, Waiting("exited", 2.0)))
    fields["state"][1]["colour"] = "red"
    del fields["restarts"]

    assert values.worker([name, {**fields, "mood": 1}]) == Worker(Goal.UP, Waiting("exited", 2.0))


@pytest.mark.parametrize(
    "packed", [None, 3, [], ["Worker"], ["Nobody", {}], ["Waiting", {"reason": "", "retry_at": 1.0}]]
)
def test_what_is_no_worker_is_refused(packed: object) -> None:
    with pytest.raises(ValueError, match="worker"):
        values.worker(packed)


def test_a_run_under_way_is_still_that_of_its_job() -> None:
    site = SiteJobs()
    site.define("schedule", "", [Definition("a.b", "b")], first=True)
    site.begin(Run(1, "a.b", 100.0), 100.0, 5.0)
    state = least(book=msgspec.to_builtins(HandedBook(sites={"noi": site}, known={"noi"})))

    with stored(state) as file:
        arrived = handover.read(file).book.sites["noi"]

    assert arrived == site
    assert arrived.underway["a.b"] is arrived.jobs["a.b"]


def test_half_lines_and_descriptors_arrive() -> None:
    runner = HandedRunner(worker=12, connection=9, pid=13, half=b'{"type": \xff', out=b"\0", greeted=True)
    state = least(runners=[msgspec.to_builtins(runner, builtin_types=(bytes,))], asker=8)

    with stored(state) as file:
        arrived = handover.read(file)
        again = handover.read(file)

    assert arrived.runners == [runner]
    assert arrived == again
    assert sorted(arrived.descriptors()) == [3, 4, 5, 8, 9]


def test_the_least_that_was_ever_handed_over_and_what_is_not_known_yet_are_understood() -> None:
    with stored(least(weather="fine")) as file:
        arrived = handover.read(file)

    assert isinstance(arrived, Handover)
    assert (arrived.version, arrived.clients, arrived.logs) == ("0.1.0", [], {})


@pytest.mark.parametrize(
    "state", [b"", b"garbage", b"\xff" * 9, b"\x91" * 5000, least(form=2), least(lock="a"), {}]
)
def test_what_is_not_understood_is_said(state: Any) -> None:
    with stored(state) as file, pytest.raises((ValueError, RecursionError)):
        handover.read(file)
