"""The runner's line to the daemon: JSON lines over a Unix stream socket."""

import os
import socket
import struct
import sys
import threading
import time
from types import ModuleType, TracebackType
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Type

VERSION = 1  # of the protocol
LIMIT = 64 * 1024  # bytes of one line
BETWEEN_TRIES = 1.0  # seconds from one try to reach a daemon that is gone to the next
LONGEST_SILENCE = 15.0  # seconds until a tick is told, if the daemon does not count on more

Fields = Dict[str, object]
Standing = Iterable[Tuple[str, Fields]]


class Daemon:
    """The daemon at the other end. Once the site runs, nothing that happens to it disturbs the site.

    ``waiting`` is the module of that name next to this one.
    """

    def __init__(self, waiting: ModuleType) -> None:
        self.lock = threading.RLock()
        self.past: Dict[str, Fields] = {}  # by id: PastJob of the protocol
        self.isolate = True
        self.catch_up = True
        self.longest_wait = float("inf")  # seconds until it counts on a word of the loop
        self.standing: Callable[[], Standing] = lambda: ()  # what one that is new must know
        self._waiting = waiting
        self._queue = waiting.Waiting()
        self._socket: Optional[socket.socket] = None
        self._identity: Optional[Tuple[int, int]] = None  # st_dev and st_ino of the socket
        self._pid = os.getpid()
        self._path = ""  # empty: not to be reached again
        self._hello: Fields = {}
        self._heard = b""
        self._silence = LONGEST_SILENCE
        self._said_at = 0.0  # monotonic, as are the two below
        self._try_at = 0.0
        self._may_go = False  # the daemon has said go
        self._told: Dict[str, Fields] = {}  # what stays true: ready, unhooked

    def connect(self, path: str, timeout: float, stacks: int = 0) -> None:
        """Connect and say hello. Raises OSError if nobody takes the connection within ``timeout`` seconds.

        ``stacks`` is the signal that makes this process write its stacks, 0 if there is none.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Not settimeout: a non-blocking connect fails at once while many others stand in the queue.
            limit = struct.pack("ll", int(timeout), int(timeout % 1 * 1e6) or 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            connection.connect(path)
        except OSError:
            connection.close()
            raise
        self._take(connection)
        self._hello = {
            "version": VERSION,
            "python": ".".join(map(str, sys.version_info[:3])),
            "stacks": stacks,
        }
        self.tell("hello", **self._hello)
        self._path = os.path.abspath(path)

    def wait_for_go(self, timeout: float) -> bool:
        """Whether the daemon says go within ``timeout`` seconds; what it says before is kept."""
        deadline = time.monotonic() + timeout
        while self._socket is not None:
            if any(word.get("type") == "go" for word in self._words()):
                self._socket.setblocking(False)
                return True
            if len(self._heard) >= LIMIT:
                return False
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                more = self._socket.recv(LIMIT)
            except OSError:
                return False
            if not more:
                return False
            self._heard += more
        return False

    def unhooked(self, reason: str) -> None:
        """Tell, once, that no hook fits."""
        if "unhooked" not in self._told:
            self.tell("unhooked", reason=reason)

    def tell(self, what: str, **fields: object) -> None:
        """Send one report, see `send`."""
        self.send(what, fields)

    def send(self, kind: str, fields: Fields) -> None:
        """Send one report; it waits for another time, or another daemon, if it cannot be sent now."""
        if os.getpid() != self._pid or (self._socket is None and not self._path):
            return
        with self.lock:
            if kind in ("ready", "unhooked"):
                self._told[kind] = fields
                if self._socket is None:
                    return  # it is told when there is a daemon again
            self._said_at = time.monotonic()
            self._queue.put(self._waiting.report(kind, fields))
            self._flush()

    def drop(self, kind: str) -> None:
        """Forget reports of ``kind`` that wait: newer ones come."""
        if os.getpid() == self._pid:
            with self.lock:
                self._queue.discard(kind)

    def hear(self) -> List[Dict[str, Any]]:
        """Return what the daemon has said since, without waiting."""
        words: List[Dict[str, Any]] = []
        if os.getpid() != self._pid:
            return words
        with self.lock:
            while True:
                connection = self._connection()
                if connection is None:
                    return words
                try:
                    more = connection.recv(LIMIT, socket.MSG_DONTWAIT)
                except (BlockingIOError, InterruptedError):
                    return words
                except OSError:
                    more = b""
                self._heard += more
                words.extend(self._words())
                if not more or len(self._heard) >= LIMIT:
                    self._lose()

    def tick(self) -> None:
        """Send what waits; connect again if the daemon has gone; say that we are there, now and then."""
        if os.getpid() != self._pid:
            return
        with self.lock:
            now = time.monotonic()
            if self._connection() is None and self._path and now >= self._try_at:
                self._try_at = now + BETWEEN_TRIES
                self._connect_again()
            if now >= self._said_at + self._silence:
                self.tell("tick", at=round(time.time(), 3), lost=self._queue.lost)
            elif len(self._queue):
                self._flush()

    def length_of(self, value: object) -> int:
        """Return how many bytes ``value`` takes in a report."""
        return int(self._waiting.length(value))

    def has_sent_all(self) -> bool:
        """Whether nothing waits, so that an answer may come soon."""
        with self.lock:
            return self._connection() is not None and not len(self._queue)

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 if there is none."""
        with self.lock:
            connection = self._connection()
            return -1 if connection is None else connection.fileno()

    def _take(self, connection: socket.socket) -> None:
        status = os.fstat(connection.fileno())
        self._identity = (status.st_dev, status.st_ino)
        self._socket = connection
        self._heard = b""

    def _connect_again(self) -> None:
        """Reach the daemon that is there now, if one is, and tell it all that it must know."""
        connection = None
        try:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.setblocking(False)
            connection.connect(self._path)
        except OSError:
            if connection is not None:
                connection.close()
            return
        self._take(connection)
        for kind in ("jobs", "hello"):
            self._queue.discard(kind)
        standing = [("hello", dict(self._hello, resumed=True))]
        standing.extend(self._told.items())
        standing.extend(self.standing())
        self._queue.discard("begun", [fields["run"] for kind, fields in standing if kind == "begun"])
        self._queue.put_first([self._waiting.report(kind, fields) for kind, fields in standing])
        self._said_at = time.monotonic()
        self._flush()

    def _flush(self) -> None:
        """Send what waits, as far as the socket takes it at once."""
        while len(self._queue):
            connection = self._connection()
            if connection is None:
                return
            report = self._queue.first()
            try:
                sent = connection.send(report.line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._lose()
                return
            if sent != len(report.line):
                self._lose()  # half a line is worth nothing; the next connection begins with the whole
                return
            self._queue.pop()

    def _lose(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._heard = b""

    def _words(self) -> List[Dict[str, Any]]:
        """Return the words whose lines were heard whole; limits and past are taken note of."""
        *lines, self._heard = self._heard.split(b"\n")
        words = [word for word in map(self._waiting.word, lines) if word is not None]
        for word in words:
            if word.get("type") == "past" and not self._may_go:
                self._take_past(word.get("jobs"))
            elif word.get("type") == "go":
                self._may_go = True
                self.isolate = word.get("isolate_jobs") is not False
                self.catch_up = word.get("catch_up") is not False
                watchdog = word.get("watchdog")
                if isinstance(watchdog, (int, float)) and watchdog > 0:
                    self._silence = self.longest_wait = max(1.0, min(LONGEST_SILENCE, watchdog / 4))
        return words

    def _take_past(self, jobs: object) -> None:
        for job in jobs if isinstance(jobs, list) else ():
            if isinstance(job, dict) and isinstance(job.get("id"), str):
                self.past[job["id"]] = job

    def _connection(self) -> Optional[socket.socket]:
        """Return the socket if it is there and still ours.

        A job may have closed every descriptor, and the number may be somebody else's by now.
        """
        if self._socket is None or os.getpid() != self._pid:
            return None
        try:
            status = os.fstat(self._socket.fileno())
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            self._socket.detach()
            self._socket = None
        return self._socket


class Guard:
    """Keeps what goes wrong in a hook away from the site: it is told, and the site runs on."""

    def __init__(self, daemon: Daemon, what: str) -> None:
        self._daemon = daemon
        self._what = what

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> bool:
        """Swallow an Exception; SystemExit and its like go through."""
        if not isinstance(error, Exception):
            return False
        self._daemon.unhooked(f"{self._what}: {str(error) or type(error).__name__}")
        return True
