"""A real Redis on loopback, on the one port that Lino's channels know."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cache import alone, cache
from tests.eventually import eventually

PORT = 6379


@contextmanager
def redis_server(directory: Path) -> Iterator[None]:
    """Have a Redis on 127.0.0.1:6379: the one that is there, or one of our own until the end.

    Tests that run side by side take turns: one that found another's would lose it in the middle.
    """
    with alone(cache() / ".redis.lock"):
        if _answers():
            yield
        else:
            with _our_own(directory):
                yield


@contextmanager
def _our_own(directory: Path) -> Iterator[None]:
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
