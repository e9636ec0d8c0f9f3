"""What is taken out of a pipe comes into the log once, whenever the daemon is killed."""

import gzip
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.daemon import fifo
from tests.eventually import eventually

READER = Path(__file__).parents[1] / "workers" / "reads_output.py"
HOUSE = Path(__file__).parents[2]
KILLS = 12


@pytest.fixture
def home(runtime: Path) -> Path:
    (runtime / "log").mkdir()
    (runtime / "output").mkdir(mode=0o700)
    return runtime


@pytest.mark.parametrize(
    "arguments", [["10000000"], ["20000"], ["10000000", "removed"]], ids=["", "rotated", "removed"]
)
def test_no_line_is_lost_or_doubled_when_the_daemon_is_killed_at_any_instant(
    home: Path, arguments: list[str]
) -> None:
    ours = fifo.make(home / "output" / "one", os.geteuid())
    pipe = fifo.worker_end(home / "output" / "one", ours)
    os.close(ours)
    over = threading.Event()
    count = 0

    def write() -> None:
        nonlocal count
        while not over.is_set():
            os.write(pipe, b"<%d>\n" % count)
            count += 1
            over.wait(0.0002)

    writer = threading.Thread(target=write)
    writer.start()
    chance = random.Random()
    try:
        for _ in range(KILLS):
            with reader(home, arguments) as process:
                threading.Event().wait(chance.uniform(0, 0.05))
                process.kill()
        over.set()
        writer.join()
        with reader(home, arguments) as process:
            eventually(lambda: numbers(home)[-1:] == [count - 1], "all is read")
            process.kill()
    finally:
        over.set()
        os.close(pipe)

    assert numbers(home) == list(range(count))


class reader:  # noqa: N801 - it is used like a function
    """A process that reads; it has begun to."""

    def __init__(self, home: Path, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(READER), str(home), *arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(HOUSE)},
        )

    def __enter__(self) -> "subprocess.Popen[bytes]":
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"reads\n"
        return self._process

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()


def numbers(home: Path) -> list[int]:
    """Return the numbers in the log, as they stand there."""
    return [int(line.partition(b"<")[2].rstrip(b">\n")) for text in parts(home) for line in text.splitlines()]


def parts(home: Path) -> Iterator[bytes]:
    """Yield the parts of the log, the oldest first."""
    for number in range(500, 0, -1):
        for path in (home / "log" / f"one.log.{number}", home / "log" / f"one.log.{number}.gz"):
            if path.exists():
                yield gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
                break
    yield (home / "log" / "one.log").read_bytes()
