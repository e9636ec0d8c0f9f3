"""A real Redis on loopback, on the one port that Lino's channels know."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.eventually import eventually

PORT = 6379


@contextmanager
def redis_server(directory: Path) -> Iterator[None]:
    """Have a Redis on 127.0.0.1:6379: the one that is there, or one of our own until the end."""
    if _answers():
        yield
        return
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(PORT), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(
        [*command, "--dir", str(directory)], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        eventually(_answers, "Redis answers")
        yield
    finally:
        server.terminate()
        server.wait()


def _answers() -> bool:
    try:
        with socket.create_connection(("127.0.0.1", PORT), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
