"""The worker of every site of the chaos test: it stamps its life and misbehaves as CHAOS_KIND says.

Runs as manage.py with any Python from 3.6 on; kind "jobs" needs the package `schedule`.
"""

import fcntl
import mmap
import os
import random
import signal
import struct
import sys
import time
from typing import Callable

HOME, NAME, KIND = os.environ["CHAOS_HOME"], os.environ["CHAOS_SITE"], os.environ["CHAOS_KIND"]
TEST = os.environ["CHAOS_TEST"]  # its pid
PID = os.getpid()
LOUDEST = 100_000  # bytes of a line


def started_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[19]


STARTED = started_of(PID)


def stamp(where: str, words: str) -> None:
    """Append a line that no kill can cut."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    file = os.open(os.path.join(HOME, where, NAME), flags, 0o666)
    try:
        os.write(file, (words + "\n").encode())
    finally:
        os.close(file)


def be_alone() -> None:
    """Hold a lock that ends with this very process, unlike flock, whatever is forked."""
    file = os.open(os.path.join(HOME, "locks", NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stamp("stamps", f"double {PID} {STARTED}")


class Numbers:
    """Writes numbered lines, and counts those that were written whole where no kill can take it back."""

    def __init__(self) -> None:
        path = os.path.join(HOME, "counts", f"{NAME}.{PID}.{STARTED}")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(file, 8)
        self._count = mmap.mmap(file, 8)
        os.close(file)
        self._number = 0

    def write(self, size: int = 0) -> None:
        """Write one line with ``size`` bytes of stuff in it."""
        self._number += 1
        line = b"<%s %d %s %d %s>\n" % (NAME.encode(), PID, STARTED.encode(), self._number, b"\xff" * size)
        while line:
            line = line[os.write(1, line) :]
        self._count[:8] = struct.pack("Q", self._number)


def child(life: Callable[[], object]) -> None:
    """Fork a child that does ``life`` and never comes back."""
    if os.fork() == 0:
        try:
            life()
        finally:
            os._exit(0)


def wait_for_ever() -> None:
    while True:
        signal.pause()


def deaf() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
    wait_for_ever()


def away() -> None:
    """Go where neither the group nor the session nor the parent tells whose child it is."""
    os.setsid()
    child(deaf)


def stopped() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    wait_for_ever()


def breed() -> None:
    """Be another process every few milliseconds, as long as there is a test."""
    os.setsid()
    while os.path.exists(f"/proc/{TEST}"):
        time.sleep(0.005)
        if os.fork():
            os._exit(0)


def run_jobs() -> None:
    """A loop of the `schedule` package with a job that no upgrade and no stop may cut."""
    sys.path.insert(0, os.environ["CHAOS_LIBRARY"])
    import schedule

    numbers = Numbers()
    runs = iter(range(1, 1_000_000_000))

    def job() -> None:
        run = next(runs)
        stamp("jobs", f"begin {PID} {STARTED} {run}")
        numbers.write()
        time.sleep(0.2)
        numbers.write()
        stamp("jobs", f"end {PID} {STARTED} {run}")

    schedule.every(1).seconds.do(job)
    while True:
        schedule.run_pending()
        time.sleep(0.05)


def main() -> None:
    be_alone()
    stamp("stamps", f"begin {PID} {STARTED}")
    chance = random.Random()
    if KIND == "jobs":
        run_jobs()
    if KIND == "deaf":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if KIND == "family":
        for life in (away, away, deaf, stopped):
            child(life)
    if KIND == "breeder":
        child(breed)
    if KIND == "loud":
        child(deaf)  # holds the output
    numbers = Numbers()
    if KIND == "naked":
        os.closerange(3, 4096)
    ends_at = time.monotonic() + (chance.uniform(0.05, 2.0) if KIND in ("dies", "family") else 1e9)
    while time.monotonic() < ends_at:
        numbers.write(chance.randrange(LOUDEST) if KIND == "loud" and chance.random() < 0.05 else 0)
        time.sleep(chance.uniform(0.02, 0.1))
    how = chance.choice((0, 1, 3, -signal.SIGKILL, -signal.SIGSEGV))
    if how < 0:
        os.kill(PID, -how)
    os._exit(how)


main()
