"""What the hooks report of jobs and their runs; and what the daemon wants of them."""

import contextlib
import os
import select
import threading
import time
import traceback
from typing import Any, Dict, Iterator, List, Mapping, Optional, Set, Tuple

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
LINE = 30 * 1024  # bytes of a list of jobs in one line; Linux takes up to 32 KiB at once or not at all
LONGEST_ERROR = 500  # characters
LONGEST_TRACE = 4096  # bytes
WAIT_FOR_STORED = 0.2  # seconds

Fields = Dict[str, object]


class Runs:
    """Reports of this process, from any thread. It never raises into the site and never blocks it.

    ``daemon`` is None where no linodmgr is: then runs are only counted. In a child that a job has
    forked nothing is said.
    """

    def __init__(self, daemon: Any, stop: Any) -> None:
        self.past: Dict[str, Fields] = {}  # by id: PastJob of the protocol
        self.isolate = True
        self.catch_up = True
        self._daemon = daemon
        self._stop = stop
        self._lock = threading.RLock() if daemon is None else daemon.lock
        self._count = 0
        self._under_way: Dict[int, Fields] = {}  # what was told of their beginnings
        self._begun_at: Dict[int, float] = {}  # monotonic
        self._kind = ""
        self._jobs: Dict[str, Fields] = {}  # as told last, by id
        self._stored: Set[int] = set()
        self._wishes: List[Tuple[str, str]] = []
        if daemon is not None:
            daemon.standing = self._standing

    def take_limits(self) -> None:
        """Know what the daemon said before its go."""
        if self._daemon is not None:
            self.past = self._daemon.past
            self.isolate = self._daemon.isolate
            self.catch_up = self._daemon.catch_up

    def begin(
        self,
        job: str,
        due: Optional[float] = None,
        following: Optional[float] = None,
        stored: bool = False,
        caught_up: bool = False,
        asked: str = "",
        mark: str = "",
    ) -> int:
        """Tell that a run of ``job`` begins in this thread, and return its number.

        ``due`` is the regular time (epoch) that it uses up, ``following`` the next one. With
        ``stored`` the daemon has a short time to write that down before the body is entered.
        """
        if not self._stop.is_ours():
            return 0
        with self._lock:
            self._count += 1
            run = self._count
            told: Fields = {"run": run, "job": job, "at": _now(), "due": due, "following": following}
            told.update(stored=stored, caught_up=caught_up, asked=asked, mark=mark)
            told["thread"] = threading.get_ident()
            self._under_way[run] = told
            self._begun_at[run] = time.monotonic()
            self._tell("begun", told)
        if stored:
            self._wait_for_stored(run)
        return run

    def end(
        self,
        run: int,
        outcome: str,
        error: Optional[BaseException] = None,
        next_run: Optional[float] = None,
    ) -> None:
        """Tell that ``run`` has ended: ok, failed or warned. ``next_run`` is when its job is due next."""
        if not self._stop.is_ours():
            return
        with self._lock:
            begun = self._under_way.pop(run, None)
            if begun is None:
                return
            duration = time.monotonic() - self._begun_at.pop(run)
            told: Fields = {"run": run, "job": begun["job"], "at": _now(), "outcome": outcome}
            told["duration"] = round(duration, 3)
            told["next_run"] = next_run
            if error is not None:
                told.update(error=one_line(error), trace=trace_of(error))
            self._move(str(begun["job"]), next_run)
            self._tell("ended", told)

    def tell_jobs(self, kind: str, described: List[Fields]) -> None:
        """Tell all jobs: ``kind`` is schedule or lino, each has the fields of ToldJob of the protocol."""
        if not self._stop.is_ours():
            return
        with self._lock:
            self._kind = kind
            self._jobs = {str(job["id"]): job for job in described}
            if self._daemon is not None:
                self._daemon.drop("jobs")
                for told in self._jobs_told():
                    self._tell("jobs", told)

    def missed(self, job: str, due: float, next_run: Optional[float]) -> None:
        """Tell that a regular time has passed, and that no run makes up for it."""
        if not self._stop.is_ours():
            return
        with self._lock:
            self._move(job, next_run)
            self._tell("missed", {"job": job, "due": due, "next_run": next_run})

    def moved(self, next_runs: Mapping[str, Optional[float]]) -> None:
        """Tell next runs that have changed without a run, by id of the job."""
        if not self._stop.is_ours():
            return
        with self._lock:
            pairs = list(next_runs.items())
            for job, next_run in pairs:
                self._move(job, next_run)
            for start in range(0, len(pairs), 50):
                self._tell("moved", {"next_runs": dict(pairs[start : start + 50])})

    def stalled(self, reason: str) -> None:
        """Tell that the loop which runs the jobs has ended while the process goes on."""
        if self._stop.is_ours():
            with self._lock:
                self._tell("stalled", {"reason": reason})

    def decline(self, asked: str, reason: str) -> None:
        """Tell that a wish cannot be fulfilled."""
        if self._stop.is_ours():
            with self._lock:
                self._tell("declined", {"asked": asked, "reason": reason})

    def tick(self) -> None:
        """Know that the loop which runs the jobs goes round; hear the daemon, send it what waits."""
        if self._daemon is None or not self._stop.is_ours():
            return
        with self._lock:
            self._hear()
            self._daemon.tick()

    def take_wishes(self) -> List[Tuple[str, str]]:
        """Return which jobs are to be run now: their ids, each with the token of the wish."""
        if self._daemon is None or not self._stop.is_ours():
            return []
        with self._lock:
            self._hear()
            wishes, self._wishes = self._wishes, []
            return wishes

    @property
    def longest_wait(self) -> float:
        """Seconds after which the daemon counts on a word of the loop; endless if it does not."""
        return float("inf") if self._daemon is None else float(self._daemon.longest_wait)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the daemon says something; -1 if there is none."""
        if self._daemon is None or not self._stop.is_ours():
            return -1
        with self._lock:
            return int(self._daemon.fileno())

    def wait(self, seconds: float) -> None:
        """Wait so long, or until the daemon says something, or counts on a word of the loop."""
        _poll(self.fileno(), min(seconds, self.longest_wait))

    def _wait_for_stored(self, run: int) -> None:
        """Wait, at most WAIT_FOR_STORED, until the beginning of ``run`` would survive a loss of power."""
        if self._daemon is None or not self._daemon.has_sent_all():
            return
        deadline = time.monotonic() + WAIT_FOR_STORED
        while True:
            with self._lock:
                self._hear()
                if run in self._stored:
                    self._stored.discard(run)
                    return
                number = self._daemon.fileno()
            left = deadline - time.monotonic()
            if number < 0 or left <= 0:
                return
            _poll(number, min(left, 0.05))  # in slices: another thread may hear what is for this one

    def _hear(self) -> None:
        for word in self._daemon.hear():
            kind = word.get("type")
            if kind == "run" and isinstance(word.get("job"), str) and isinstance(word.get("asked"), str):
                self._wishes.append((word["job"], word["asked"]))
            elif kind == "stored" and isinstance(word.get("run"), int):
                self._stored.add(word["run"])
                self._stored &= set(self._under_way)
            elif kind == "go":
                self.isolate, self.catch_up = self._daemon.isolate, self._daemon.catch_up

    def _tell(self, kind: str, fields: Fields) -> None:
        if self._daemon is not None:
            self._daemon.send(kind, fields)

    def _move(self, job: str, next_run: Optional[float]) -> None:
        """Keep what would be told of ``job`` to another daemon true."""
        if job in self._jobs:
            self._jobs[job]["next_run"] = next_run

    def _standing(self) -> Iterator[Tuple[str, Fields]]:
        """Yield what a daemon has to know that has just come."""
        if self._kind:
            for told in self._jobs_told():
                yield "jobs", told
        for told in list(self._under_way.values()):
            yield "begun", told

    def _jobs_told(self) -> Iterator[Fields]:
        """Yield all jobs in pieces that fit into a line each."""
        pieces: List[List[Fields]] = [[]]
        size = 0
        for job in self._jobs.values():
            length = self._daemon.length_of(job)
            if size + length > LINE and pieces[-1]:
                pieces.append([])
                size = 0
            pieces[-1].append(job)
            size += length
        zone = os.environ.get("TZ", "")
        for number, jobs in enumerate(pieces):
            yield {"kind": self._kind, "jobs": jobs, "first": number == 0, "zone": zone}


def one_line(error: BaseException) -> str:
    """Return the last line of a traceback, such as "ValueError: no such mailbox"."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - whatever a site's own exception says of itself
        text = ""
    name = type(error).__name__
    return (f"{name}: {text}" if text else name)[:LONGEST_ERROR]


def trace_of(error: BaseException) -> str:
    """Return the end of its traceback, at most LONGEST_TRACE bytes, without what is the runner's own."""
    try:
        found = traceback.TracebackException(type(error), error, error.__traceback__)
        _leave_out_ours(found, set())
        text = "".join(found.format()).encode("utf-8", "replace")
    except Exception:  # noqa: BLE001 - as above
        return ""
    return text[-LONGEST_TRACE:].decode("utf-8", "ignore").rstrip()


def _leave_out_ours(trace: Any, seen: Set[int]) -> None:
    """Take the runner's frames out of ``trace`` and of those it came from."""
    while trace is not None and id(trace) not in seen:
        seen.add(id(trace))
        trace.stack[:] = [frame for frame in trace.stack if not frame.filename.startswith(HERE)]
        _leave_out_ours(trace.__cause__, seen)
        trace = trace.__context__


def _now() -> float:
    return round(time.time(), 3)


def _poll(number: int, seconds: float) -> None:
    """Wait ``seconds``, or until the descriptor ``number`` (-1: none) has something to read."""
    waiting = select.poll()
    if number >= 0:
        waiting.register(number, select.POLLIN)
    with contextlib.suppress(OSError):
        waiting.poll(max(seconds, 0.0) * 1000)
