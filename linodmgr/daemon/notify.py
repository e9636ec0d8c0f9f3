"""Tell systemd how we are: sd_notify(3), in the few lines that we need of it."""

import contextlib
import os
import socket
import time


class Notifier:
    """Sends to NOTIFY_SOCKET, if there is one; never blocks, never fails."""

    def __init__(self, address: str | None = None) -> None:
        self.address = os.environ.pop("NOTIFY_SOCKET", "") if address is None else address
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self.address)

    def ready(self, status: str) -> None:
        """The sockets are served; also after a reload."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is read again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, seconds: float) -> None:
        """Everything is being stopped, which takes at most so many seconds."""
        self._send(f"STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _send(self, text: str) -> None:
        if self.address:
            address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
            with contextlib.suppress(OSError):
                self._socket.sendto(text.encode(), address)
