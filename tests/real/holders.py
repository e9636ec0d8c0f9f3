"""What the user of a site may do to a process of its own that has not executed yet."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHON = "/usr/bin/python3"  # every user may run it
# Whoever opens the file has to wait until the lease is given back: 45 s at most.
HOLDER = """
import fcntl, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
file = os.open(sys.argv[1], os.O_WRONLY)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("has it", flush=True)
signal.sigwait({signal.SIGIO})
if sys.argv[2] == "stop":
    os.kill(-1, signal.SIGSTOP)
print("somebody waits", flush=True)
sys.stdin.read()
"""
TRACER = """
import ctypes, sys
PTRACE_SEIZE = 0x4206
assert ctypes.CDLL(None).ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None) == 0
print("traces it", flush=True)
sys.stdin.read()
"""


class Holder:
    """Keeps others from opening a file."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def says(self, words: str) -> None:
        """Wait until it says so."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == words + "\n"

    def let_go(self) -> None:
        """Give the file back."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def held(path: Path, uid: int, then: str = "") -> Iterator[Holder]:
    """Have the owner of a file hold up whoever opens it; ``stop``: and then stop all its processes."""
    os.chown(path, uid, -1)
    with subprocess.Popen(
        [PYTHON, "-c", HOLDER, str(path), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=uid,
        group=uid,
        extra_groups=[],
    ) as process:
        try:
            holder = Holder(process)
            holder.says("has it")
            yield holder
        finally:
            process.kill()


@contextmanager
def traced(pid: int) -> Iterator[None]:
    """Have somebody trace a process who does not care when it ends: its parent cannot reap it."""
    with subprocess.Popen(
        [PYTHON, "-c", TRACER, str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            Holder(process).says("traces it")
            yield
        finally:
            process.kill()
