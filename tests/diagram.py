"""Draws the states of a worker from the code: ``python -m tests.diagram`` brings the README up to date.

Every event is put to representative workers of every state. What is true of a worker
in its usual circumstances is drawn without words; circumstances that lead elsewhere
are named, and only those that it takes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from linodmgr.core.effects import Puzzle
from linodmgr.core.shown import word
from linodmgr.core.site import Policy, Restart
from linodmgr.core.states import (
    Admitted,
    BecameReady,
    Blocked,
    Cleared,
    Connected,
    Event,
    Exited,
    Finished,
    FoundUnhooked,
    Goal,
    Hooks,
    Hung,
    Lacking,
    Outgrown,
    Queued,
    Remedy,
    RestartWanted,
    Resting,
    Running,
    Said,
    Silent,
    Spawned,
    SpawnFailed,
    Spawning,
    Starting,
    Stopped,
    Stopping,
    Tick,
    Waiting,
    Wanted,
    Worker,
)
from linodmgr.core.worker import step

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- states -->", "<!-- /states -->"

NOW = 1000.0
LONG_AGO = 0.0
PID = 100

Notes = frozenset[str]
USUAL: Notes = frozenset()


@dataclass(frozen=True)
class Edge:
    """From one word to another, because of an event in certain circumstances."""

    source: str
    target: str
    event: str
    notes: Notes


def workers() -> Iterator[tuple[Notes, Worker]]:
    """Yield representatives of every state, in the order of a life."""
    yield USUAL, Worker(Goal.DOWN, Stopped())
    yield USUAL, Worker(Goal.UP, Queued())
    yield USUAL, Worker(Goal.UP, Spawning(True))
    yield frozenset({"stop wanted"}), Worker(Goal.DOWN, Spawning(True))
    yield from _alive(Starting(PID, NOW, NOW, NOW))
    yield frozenset({"runner connected"}), Worker(Goal.UP, Starting(PID, NOW, NOW, NOW, Hooks.FIT))
    yield from _alive(Running(PID, NOW, NOW, ready=True))
    yield frozenset({"good run"}), Worker(Goal.UP, Running(PID, LONG_AGO, LONG_AGO, ready=True))
    yield USUAL, Worker(Goal.UP, Waiting("", NOW))
    yield USUAL, Worker(Goal.DOWN, Stopping(PID, NOW, NOW))
    yield frozenset({"start wanted"}), Worker(Goal.UP, Stopping(PID, NOW, NOW))
    yield frozenset({"start timed out"}), Worker(Goal.UP, Stopping(PID, NOW, NOW, "not ready"))
    yield frozenset({"hung"}), Worker(Goal.UP, Stopping(PID, NOW, NOW, "hung", hung=True))
    yield USUAL, Worker(Goal.UP, Finished(""))
    yield USUAL, Worker(Goal.UP, Blocked("", NOW))


def _alive(state: Starting | Running) -> Iterator[tuple[Notes, Worker]]:
    """Yield a worker in ``state`` for what its runner may have said."""
    yield USUAL, Worker(Goal.UP, state)
    yield frozenset({"nothing to do"}), Worker(Goal.UP, replace(state, words=Resting("no jobs")))
    yield frozenset({"something missing"}), Worker(Goal.UP, replace(state, words=Lacking("no manage.py")))


EVENTS: tuple[tuple[str, Notes, Event], ...] = (
    ("Wanted UP", USUAL, Wanted(Goal.UP)),
    ("Wanted DOWN", USUAL, Wanted(Goal.DOWN)),
    ("RestartWanted", USUAL, RestartWanted()),
    ("Admitted", USUAL, Admitted()),
    ("Spawned", USUAL, Spawned(PID)),
    ("SpawnFailed", USUAL, SpawnFailed("", Remedy.RETRY)),
    ("SpawnFailed", USUAL, SpawnFailed("", Remedy.CHANGE)),
    ("SpawnFailed", frozenset({"scarce resource"}), SpawnFailed("", Remedy.BACKOFF)),
    ("Connected", USUAL, Connected()),
    ("BecameReady", USUAL, BecameReady()),
    ("FoundUnhooked", USUAL, FoundUnhooked()),
    ("Said", USUAL, Said(Silent())),
    ("Hung", USUAL, Hung("")),
    ("Outgrown", USUAL, Outgrown("")),
    ("Exited", USUAL, Exited(PID, 1, "")),
    ("Exited", frozenset({"status 0"}), Exited(PID, 0, "")),
    ("Cleared", USUAL, Cleared()),
    ("Tick", USUAL, Tick()),
)

POLICIES: tuple[tuple[Notes, Policy], ...] = (
    (USUAL, Policy()),
    (frozenset({"restart on-failure"}), Policy(restart=Restart.ON_FAILURE)),
    (frozenset({"restart never"}), Policy(restart=Restart.NEVER)),
)


def edges() -> list[Edge]:
    """Return every change of word that can happen, each with the fewest circumstances that it takes."""
    found: dict[Edge, None] = {}
    for (of_worker, worker), (name, of_event, event), (of_policy, policy) in product(
        workers(), EVENTS, POLICIES
    ):
        after, effects = step(worker, event, NOW, policy)
        if Puzzle(event) not in effects:
            found[Edge(word(worker), word(after), name, of_worker | of_event | of_policy)] = None
    return [edge for edge in found if edge.source != edge.target and not _follows(edge, list(found))]


def _follows(edge: Edge, others: list[Edge]) -> bool:
    """Whether fewer circumstances lead there too."""
    way = (edge.source, edge.target, edge.event)
    return any((one.source, one.target, one.event) == way and one.notes < edge.notes for one in others)


def mermaid() -> str:
    """Return the diagram as a mermaid block: one arrow per way from word to word."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for edge in edges():
        label = edge.event + (f" ({', '.join(sorted(edge.notes))})" if edge.notes else "")
        arrows.setdefault((edge.source, edge.target), []).append(label)
    lines = [f"    {a} --> {b}: {'<br>'.join(labels)}" for (a, b), labels in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> STOPPED", *lines, "```"])


def drawn_in(text: str) -> str:
    """Return ``text`` with the diagram between its marks; unchanged if it has none."""
    before, mark, rest = text.partition(BEGIN)
    if not mark:
        return text
    after = rest.partition(END)[2] if END in rest else rest
    return f"{before}{BEGIN}\n{mermaid()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(drawn_in(README.read_text("utf-8")), "utf-8")
