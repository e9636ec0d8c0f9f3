"""What becomes of reports that the daemon does not read."""

import json

from hypothesis import given
from hypothesis import strategies as st

from linodmgr.site.waiting import Waiting, length, report


def ended(job: str, run: int = 0, trace: str = "") -> tuple[str, dict[str, object]]:
    return "ended", {"job": job, "run": run, "trace": trace}


def waiting(*told: tuple[str, dict[str, object]], most: int = 8, largest: int = 10_000) -> Waiting:
    queue = Waiting(most, largest)
    for kind, fields in told:
        queue.put(report(kind, fields))
    return queue


def said(queue: Waiting) -> list[dict[str, object]]:
    """Take all that waits."""
    found = []
    while len(queue):
        found.append(json.loads(queue.first().line))
        queue.pop()
    return found


def test_what_waits_comes_out_in_order() -> None:
    queue = waiting(ended("a", 1), ended("b", 2), ended("a", 3))

    assert [one["run"] for one in said(queue)] == [1, 2, 3]
    assert queue.lost == 0


def test_the_oldest_go_but_the_newest_end_of_each_job_stays() -> None:
    queue = waiting(ended("rare", 1), *(ended("often", run) for run in range(2, 30)))

    runs = [one["run"] for one in said(queue)]

    assert runs[0] == 1
    assert runs[-1] == 29
    assert len(runs) <= 8
    assert queue.lost == 29 - len(runs)


def test_long_tracebacks_fill_it_sooner() -> None:
    queue = waiting(*(ended("a", run, "x" * 4000) for run in range(10)), most=1000)

    assert len(queue) <= 2
    assert queue.lost == 10 - len(queue)


def test_what_stays_true_is_never_lost() -> None:
    queue = waiting(("ready", {}), ("jobs", {"jobs": []}), *(ended("a", run) for run in range(100)))

    assert [one["type"] for one in said(queue)][:2] == ["ready", "jobs"]


def test_only_the_newest_tick_waits() -> None:
    queue = waiting(("tick", {"at": 1.0}), ended("a", 1), ("tick", {"at": 2.0}))

    assert [(one["type"], one.get("at")) for one in said(queue)] == [("ended", None), ("tick", 2.0)]
    assert queue.lost == 0


def test_what_a_new_daemon_must_know_goes_first() -> None:
    queue = waiting(("begun", {"run": 1, "job": "a"}), ended("a", 1), ("begun", {"run": 2, "job": "a"}))

    queue.discard("begun", [2])
    queue.put_first([report("hello", {}), report("begun", {"run": 2, "job": "a"})])

    assert [(one["type"], one.get("run")) for one in said(queue)] == [
        ("hello", None),
        ("begun", 2),
        ("begun", 1),
        ("ended", 1),
    ]


@given(
    st.recursive(
        st.text() | st.none() | st.floats(allow_nan=False),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_every_text_can_be_told(value: object) -> None:
    line = report("remark", {"text": "\ud800", "value": value}).line

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line.decode("utf-8"))["text"] == "?"
    assert length(value) < len(line)


@given(st.lists(st.tuples(st.sampled_from(["begun", "ended", "tick", "moved", "jobs"]), st.integers(0, 5))))
def test_it_is_bounded_whatever_comes(told: list[tuple[str, int]]) -> None:
    queue = waiting(*((kind, {"job": str(job), "run": job}) for kind, job in told))

    kinds = [str(one["type"]) for one in said(queue)]

    assert sum(kind != "jobs" for kind in kinds) <= 8
    assert kinds.count("jobs") == sum(kind == "jobs" for kind, _ in told)
    assert queue.lost <= len(told)
    assert (queue._bounded, queue._bytes) == (0, 0)
