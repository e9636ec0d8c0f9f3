"""Lines over a unix stream socket: what the control and the report socket have in common."""

import os
import socket
import struct
from pathlib import Path

from linodmgr.protocol import REQUEST_LIMIT


class Lines:
    """Cuts a stream of bytes into lines of at most REQUEST_LIMIT bytes."""

    def __init__(self, half: bytes = b"") -> None:
        self._buffer = bytearray(half)

    @property
    def half(self) -> bytes:
        """The beginning of a line whose end has not come yet."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that ``data`` completes, without their ends. Raises ValueError: too long."""
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = rest
        if len(rest) > REQUEST_LIMIT or any(len(line) > REQUEST_LIMIT for line in lines):
            raise ValueError(f"a line is longer than {REQUEST_LIMIT} bytes")
        return [bytes(line) for line in lines]


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return pid and uid of who connected, as of then: SO_PEERCRED, unix(7)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", raw)
    return pid, uid


def taken_over(descriptor: int) -> socket.socket:
    """Return the socket that an earlier program in this process has left open."""
    found = socket.socket(fileno=descriptor)
    found.set_inheritable(False)
    found.setblocking(False)
    return found


def listen(path: Path, mode: int, gid: int | None) -> socket.socket:
    """Return a listening unix socket at ``path`` with exactly these permissions.

    A socket that a dead daemon left is replaced: the daemon's lock says that it is dead.
    """
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    old = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(old)
    if gid is not None:
        os.chown(path, -1, gid)
    path.chmod(mode)
    listening.listen(1024)
    listening.setblocking(False)
    return listening
