"""How long 200 MB of output take until they are in a file, and what that costs the daemon in memory.

Compared with `cat >FILE`, which reads the same bytes from a pipe of the same size. Measured by who writes and
waits until all but what the pipe holds (1 MiB) is taken. Logs are put aside and packed, as by default.
Argument: how often.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from linodmgr.daemon import fifo
from tests.bench.managers import OURSELVES
from tests.bench.table import show, spread
from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon

SIZE = 200_000_000  # bytes
# Writes whenever it is told to, and says how many seconds that took.
WRITES = """\
#!{python} -IS
import os, time
line = b"%s a line of the length that lines of logs have, with this and that in it\\n" % (b"x" * 12)
block = memoryview(line * (65536 // len(line)))
while True:
    with open({go!r}, "rb") as go:
        go.read()
    begin, left = time.monotonic(), {size}
    while left > 0:
        left -= os.write(1, block[:left])
    with open({took!r} + ".part", "w") as file:
        file.write(str(time.monotonic() - begin))
    os.rename({took!r} + ".part", {took!r})
"""


class Writer:
    """A program that writes on demand."""

    def __init__(self, program: Path) -> None:
        program.parent.mkdir(parents=True, exist_ok=True)
        self.program = program
        self._go, self._took = program.with_name("go"), program.with_name("took")
        os.mkfifo(self._go)
        program.write_text(
            WRITES.format(python=sys.executable, go=str(self._go), took=str(self._took), size=SIZE)
        )
        program.chmod(0o755)

    def took(self) -> float:
        """Let it write, and return how many seconds that took."""
        self._go.write_text("go")
        eventually(self._took.exists, "all is written", limit=30.0)
        seconds = float(self._took.read_text())
        self._took.unlink()
        return seconds


@contextlib.contextmanager
def cat(home: Path) -> Iterator[Callable[[], float]]:
    """Yield what lets ``cat`` take the bytes once."""
    home.mkdir()
    writer, pipe = Writer(home / "writes"), home / "pipe"
    ours = fifo.make(pipe, os.geteuid())
    theirs = fifo.worker_end(pipe, ours)
    with (
        (home / "log").open("ab") as log,
        subprocess.Popen(["cat"], stdin=pipe.open("rb"), stdout=log) as reader,
        subprocess.Popen([writer.program], stdout=theirs) as program,
    ):

        def measure() -> float:
            os.ftruncate(log.fileno(), 0)
            return writer.took()

        yield measure
        program.kill()
        reader.kill()
    os.close(theirs)
    os.close(ours)


@contextlib.contextmanager
def sites(home: Path) -> Iterator[tuple[Daemon, Writer, Writer]]:
    """Yield a daemon, and what lets a site with and one without time stamps write."""
    daemon = Daemon(home)
    writers = []
    text = ""
    for name in ("raw", "stamped"):
        project = home / name
        project.mkdir()
        (project / "manage.py").touch()
        writers.append(Writer(project / "env" / "bin" / "python"))
        text += f'[[site]]\ndirectory = "{project}"\nuser = "{OURSELVES}"\nsettle = 0.1\n'
        text += f"log_time = {str(name != 'raw').lower()}\n"
    daemon.configure(text)
    daemon.start()
    try:
        raw, stamped = writers
        yield daemon, raw, stamped
    finally:
        daemon.stop()


def peak(pid: int) -> float:
    """Return how many MB a process has had in memory at most."""
    found = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def main(rounds: int) -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {"cat": [], "linodmgr, log_time = false": [], "linodmgr": []}
    with tempfile.TemporaryDirectory(prefix="lm-", dir="/tmp") as place:
        home = Path(place)
        home.chmod(0o755)
        with cat(home / "cat") as by_cat, sites(home) as (daemon, raw, stamped):
            for _ in range(rounds):
                for name, measure in zip(times, (by_cat, raw.took, stamped.took), strict=True):
                    times[name].append(measure() * 1000)
            rss = peak(daemon.pid)
    rows = [[name, *spread(values, "ms")] for name, values in times.items()]
    show(f"{SIZE // 1_000_000} MB of output, {rounds} times", ["", "median", "least", "most"], rows)
    print(f"RSS of the daemon: at most {rss:.1f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
