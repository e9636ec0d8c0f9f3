"""Reports that wait until the daemon reads them: bounded, the newest state wins, lost ones are counted."""

import json
from collections import deque
from typing import Any, Deque, Dict, Iterable, List, Optional, Tuple

MOST = 2000  # reports
LARGEST = 512 * 1024  # bytes of them all
LONGEST = 1000  # characters of a text, but for a traceback
LONGEST_TRACE = 5000
KEPT_FOR_EVER = ("hello", "jobs", "ready", "unhooked", "idle", "remark", "missing", "stalled", "declined")


class Report:
    """One line for the daemon; ``job`` and ``run`` tell which run it is about, if it is about one."""

    __slots__ = ("job", "kind", "line", "run")

    def __init__(self, kind: str, line: bytes, job: Optional[str] = None, run: Optional[int] = None) -> None:
        self.kind = kind
        self.line = line
        self.job = job
        self.run = run


class Waiting:
    """A queue of reports, first in first out. What is too much is forgotten, the oldest first.

    Of each job the newest end outlasts other reports of runs, because it is what the job is like now.
    """

    def __init__(self, most: int = MOST, largest: int = LARGEST) -> None:
        self.lost = 0  # reports that were forgotten
        self._most = most
        self._largest = largest
        self._reports: Deque[Report] = deque()
        self._bytes = 0
        self._bounded = 0  # how many of them may be forgotten

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._reports)

    def put(self, report: Report) -> None:
        """Let ``report`` wait behind the others."""
        if report.kind == "tick":  # only the newest says something
            self.discard(kind="tick")
        self._reports.append(report)
        if report.kind in KEPT_FOR_EVER:
            return
        self._bounded += 1
        self._bytes += len(report.line)
        if self._bounded > self._most or self._bytes > self._largest:
            self._shrink()

    def put_first(self, reports: List[Report]) -> None:
        """Let ``reports`` be sent before all that wait."""
        for report in reversed(reports):
            self._reports.appendleft(report)
            if report.kind not in KEPT_FOR_EVER:
                self._bounded += 1
                self._bytes += len(report.line)

    def first(self) -> Report:
        """Return the oldest, which stays. Raises IndexError if none waits."""
        return self._reports[0]

    def pop(self) -> None:
        """Drop the oldest: it was sent."""
        self._forget((self._reports.popleft(),))

    def discard(self, kind: str, runs: Optional[Iterable[int]] = None) -> None:
        """Drop all of ``kind``, of these ``runs`` only if some are given; they do not count as lost."""
        chosen = None if runs is None else set(runs)
        gone = [r for r in self._reports if r.kind == kind and (chosen is None or r.run in chosen)]
        if gone:
            self._remove(gone)

    def _shrink(self) -> None:
        """Forget so much that there is room for some time."""
        newest: Dict[Optional[str], Report] = {r.job: r for r in self._reports if r.kind == "ended"}
        kept = {id(report) for report in newest.values()}
        bounded = [r for r in self._reports if r.kind not in KEPT_FOR_EVER]
        bounded.sort(key=lambda report: id(report) in kept)  # stable: each part stays in order
        gone = []
        count, size = self._bounded, self._bytes
        for report in bounded:
            if count <= self._most * 3 // 4 and size <= self._largest * 3 // 4:
                break
            count, size = count - 1, size - len(report.line)
            gone.append(report)
        self.lost += sum(report.kind != "tick" for report in gone)
        self._remove(gone)

    def _remove(self, gone: Iterable[Report]) -> None:
        gone = tuple(gone)
        chosen = {id(report) for report in gone}
        self._reports = deque(report for report in self._reports if id(report) not in chosen)
        self._forget(gone)

    def _forget(self, gone: Tuple[Report, ...]) -> None:
        for report in gone:
            if report.kind not in KEPT_FOR_EVER:
                self._bounded -= 1
                self._bytes -= len(report.line)


def report(kind: str, fields: Dict[str, object]) -> Report:
    """Return the report of ``kind`` that tells ``fields``."""
    message: Dict[str, object] = {"type": kind}
    for key, value in fields.items():
        message[key] = _clean(value, LONGEST_TRACE if key == "trace" else LONGEST)
    job, run = fields.get("job"), fields.get("run")
    return Report(
        kind,
        json.dumps(message).encode() + b"\n",
        job if isinstance(job, str) else None,
        run if isinstance(run, int) else None,
    )


def length(value: object) -> int:
    """Return how many bytes ``value`` takes in a report."""
    return len(json.dumps(_clean(value))) + 2


def word(line: bytes) -> Optional[Dict[str, Any]]:
    """Return what ``line`` says, None if it is nothing that we could understand."""
    try:
        message = json.loads(line.decode())
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _clean(value: object, longest: int = LONGEST) -> object:
    """Return ``value`` so that every JSON reader takes it: no lone surrogates, not endless."""
    if isinstance(value, str):
        return value[:longest].encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value
