"""What a test left behind: processes (also those that went away into the background), threads, sockets."""

import contextlib
import gc
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Left:
    """What is there now and was not there before."""

    processes: tuple[psutil.Process, ...]
    others: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.processes or self.others)

    def __str__(self) -> str:
        return ", ".join([*map(_words, self.processes), *self.others])


@dataclass(frozen=True)
class Seen:
    """What was there before a test."""

    processes: frozenset[psutil.Process]
    threads: frozenset[int | None]
    sockets: frozenset[str]

    @classmethod
    def now(cls) -> "Seen":
        """Look at this process."""
        return cls(
            frozenset(_children()),
            frozenset(thread.ident for thread in threading.enumerate()),
            frozenset(_sockets()),
        )

    def left(self, places: Sequence[str]) -> Left:
        """Return what is new, among it every process that was started with a path of ``places``."""
        processes = {*_children(), *_started_with(places)} - self.processes
        threads = [
            f"thread {thread.name}"
            for thread in threading.enumerate()
            if thread.ident not in self.threads and not thread.daemon
        ]
        sockets = _sockets() - self.sockets
        if sockets:
            gc.collect()
            sockets = _sockets() - self.sockets
        return Left(tuple(processes), (*threads, *sorted(sockets)))


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill what a test left, so that it does not disturb the next one."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(processes), timeout=5)


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if not _is_in_a_machine(child)]


def _is_in_a_machine(process: psutil.Process) -> bool:
    """Tell whether its children have pids of their own: a booted machine, and who boots it, may stay."""
    try:
        return os.readlink(f"/proc/{process.pid}/ns/pid_for_children") != os.readlink("/proc/self/ns/pid")
    except OSError:
        return False


def _started_with(places: Sequence[str]) -> list[psutil.Process]:
    """Return the processes whose arguments name one of ``places``, wherever they hang in the tree."""
    found = []
    for process in psutil.process_iter() if places else ():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and _names(process, places):
                found.append(process)
    return found


def _names(process: psutil.Process, places: Sequence[str]) -> bool:
    arguments = process.cmdline()
    return any(place in argument for argument in arguments for place in places) or any(
        process.cwd().startswith(place) for place in places
    )


def _sockets() -> set[str]:
    links = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.add(os.readlink(descriptor))
    return {link for link in links if link.startswith("socket:")}


def _words(process: psutil.Process) -> str:
    try:
        return f"process {process.pid} ({process.status()}): {' '.join(process.cmdline()) or process.name()}"
    except psutil.NoSuchProcess:
        return f"process {process.pid}, which has ended meanwhile"
