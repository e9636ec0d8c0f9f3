"""The lines of a history file: read back, and thinned out when they become too many."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

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
from linodmgr.core.past import recall
from linodmgr.daemon.stored import sync_directory

READ_LIMIT = 64 * 1024 * 1024  # bytes of a file that are believed, the last ones
RUNS_KEPT = 100  # of each job
FAILURES_KEPT = 1000  # of a site
TRACES_KEPT = 200  # of a site
FAILURES_FOR = 30 * 86400.0  # seconds
EXITS_KEPT = 100
SIZE_KEPT = 8 * 1024 * 1024  # bytes; what is older goes, whatever it is
TOGETHER = 500  # quiet runs on one line

_FACT: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


def encode(fact: Fact) -> bytes:
    """Return ``fact`` as one line."""
    return msgspec.json.encode(fact) + b"\n"


def decode(lines: bytes) -> Iterator[Fact]:
    """Yield what the lines say; a damaged one says nothing."""
    for line in lines.split(b"\n"):
        try:
            yield _FACT.decode(line)
        except (ValueError, RecursionError):
            continue


def read(path: Path) -> bytes:
    """Return what is in the file, empty if there is none. Raises OSError."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    with open(file, "rb") as stream:
        size = os.fstat(file).st_size
        stream.seek(max(0, size - READ_LIMIT))
        return stream.read(READ_LIMIT)


def thin_out(path: Path, wall: float) -> int:
    """Rewrite the file with what is to be kept; return its new size. Raises OSError."""
    text = b"".join(encode(fact) for fact in kept(list(decode(read(path))), wall))
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(file, "wb") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(file)
    os.replace(new, path)
    sync_directory(path.parent)
    return len(text)


def kept(facts: list[Fact], wall: float) -> list[Fact]:
    """Return what is to be kept of ``facts``; what is known of the jobs stays the same."""
    past: dict[str, Job] = {}
    for fact in facts:
        recall(past, fact)
    chosen: deque[Fact] = deque()
    budget = _Budget(wall)
    for fact in reversed(facts):
        if budget.size < SIZE_KEPT and (less := budget.take(fact, past)):
            chosen.appendleft(less)
    now_known = [KnownJob(job.id, job.name, job.next_run, job.due, job.missed) for job in past.values()]
    return [*chosen, KnownJobs(now_known)]


class _Budget:
    """What has been kept so far, of the newest first."""

    def __init__(self, wall: float) -> None:
        self.size = 0
        self._since = wall - FAILURES_FOR
        self._runs: dict[str, int] = {}
        self._ended: set[tuple[str, float]] = set()
        self._failures = self._exits = self._traces = 0

    def take(self, fact: Fact, past: dict[str, Job]) -> Fact | None:
        """Return what to keep of one fact."""
        less = self._choose(fact, past)
        if less is not None:
            self.size += len(encode(less))
        return less

    def _choose(self, fact: Fact, past: dict[str, Job]) -> Fact | None:
        match fact:
            case WorkerExit():
                self._exits += 1
                return fact if self._exits <= EXITS_KEPT else None
            case RunEnded():
                return self._ended_run(fact)
            case RunMissed():
                return fact if self._has_place(fact.job) else None
            case QuietRuns():
                place = RUNS_KEPT - self._runs.get(fact.job, 0)
                if place <= 0 or not fact.runs:
                    return None
                self._runs[fact.job] = RUNS_KEPT - place + len(fact.runs)
                return replace(fact, runs=fact.runs[-place:])
            case RunBegun():
                if (fact.job, fact.at) in self._ended:
                    return None
                is_last = past[fact.job].ended is None and past[fact.job].started == fact.at
                return fact if self._has_place(fact.job) or is_last else None
            case KnownJobs():  # told at the end for all
                return None

    def _ended_run(self, fact: RunEnded) -> RunEnded | None:
        self._ended.add((fact.job, fact.at))
        has_place = self._has_place(fact.job)
        if fact.outcome == "failed" and fact.at >= self._since:
            self._failures += 1
            has_place = has_place or self._failures <= FAILURES_KEPT
        if not has_place:
            return None
        if fact.trace:
            self._traces += 1
            if self._traces > TRACES_KEPT:
                return replace(fact, trace="")
        return fact

    def _has_place(self, job: str) -> bool:
        count = self._runs[job] = self._runs.get(job, 0) + 1
        return count <= RUNS_KEPT


def gathered(quiet: Iterable[RunEnded]) -> Iterator[QuietRuns]:
    """Yield quiet runs, in order, as few lines."""
    by_job: dict[str, list[RunEnded]] = {}
    for run in quiet:
        by_job.setdefault(run.job, []).append(run)
    for job, runs in by_job.items():
        for place in range(0, len(runs), TOGETHER):
            some = runs[place : place + TOGETHER]
            pairs = [(run.at, run.duration) for run in some]
            yield QuietRuns(job, some[-1].name, pairs, some[-1].next_run)
