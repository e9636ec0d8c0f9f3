"""The runner's line to the daemon: JSON lines over a Unix stream socket."""

import json
import os
import socket
import struct
import sys
import time
from types import TracebackType
from typing import Dict, Optional, Tuple, Type

VERSION = 1  # of the protocol
LIMIT = 64 * 1024  # bytes of one line
LONGEST = 1000  # characters of a reason


class Daemon:
    """The daemon at the other end. Once the site runs, nothing that happens to it disturbs the site."""

    def __init__(self) -> None:
        self._socket: Optional[socket.socket] = None
        self._identity: Optional[Tuple[int, int]] = None  # st_dev and st_ino of the socket
        self._pid = os.getpid()
        self._told_unhooked = False

    def connect(self, path: str, timeout: float) -> None:
        """Connect and say hello. Raises OSError if nobody takes the connection within ``timeout`` seconds."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Not settimeout: a non-blocking connect fails at once while many others stand in the queue.
            limit = struct.pack("ll", int(timeout), int(timeout % 1 * 1e6) or 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            connection.connect(path)
        except OSError:
            connection.close()
            raise
        status = os.fstat(connection.fileno())
        self._identity = (status.st_dev, status.st_ino)
        self._socket = connection
        self.tell("hello", version=VERSION, python=".".join(map(str, sys.version_info[:3])))

    def wait_for_go(self, timeout: float) -> bool:
        """Whether the daemon says go within ``timeout`` seconds; other words of it are passed over."""
        deadline = time.monotonic() + timeout
        heard = b""
        while self._socket is not None and len(heard) < LIMIT:
            lines = heard.split(b"\n")
            if any(map(_is_go, lines[:-1])):
                self._socket.setblocking(False)
                return True
            heard = lines[-1]
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                more = self._socket.recv(4096)
            except OSError:
                return False
            if not more:
                return False
            heard += more
        return False

    def unhooked(self, reason: str) -> None:
        """Tell, once, that no hook fits."""
        if not self._told_unhooked:
            self._told_unhooked = True
            self.tell("unhooked", reason=reason)

    def tell(self, kind: str, **fields: object) -> None:
        """Send one report. A daemon that is gone or does not read is forgotten."""
        connection = self._connection()
        if connection is None:
            return
        message: Dict[str, object] = {"type": kind}
        message.update((key, _clean(value)) for key, value in fields.items())
        line = json.dumps(message).encode() + b"\n"
        try:
            sent = connection.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            sent = 0
        if sent != len(line):
            connection.close()
            self._socket = None

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


def _is_go(line: bytes) -> bool:
    try:
        message = json.loads(line.decode())
    except ValueError:
        return False
    return isinstance(message, dict) and message.get("type") == "go"


def _clean(value: object) -> object:
    """Return ``value`` so that every JSON reader takes it: no lone surrogates, not endless."""
    if not isinstance(value, str):
        return value
    return value[:LONGEST].encode("utf-8", "replace").decode()
