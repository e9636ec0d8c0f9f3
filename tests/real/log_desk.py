"""The logs of one site in a loop of their own; the tests are its worker."""

import contextlib
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from linodmgr.core.site import Identity, Site
from linodmgr.daemon.logs import Logs
from tests.eventually import eventually
from tests.real.loop_thread import LoopThread, loop_thread

START = 1_700_000_000.25  # seconds since the epoch


class LogDesk:
    """The logs, their clock, and the site "one"."""

    def __init__(self, thread: LoopThread, home: Path, keys: dict[str, Any]) -> None:
        self.thread = thread
        self.home = home
        self.path = home / "one.log"
        self.now = START
        self.logs = Logs(home, home / "output", lambda: self.now)
        ourselves = Identity("x", os.geteuid(), os.getegid(), (), "/", "/bin/sh")
        self.site = Site(name="one", directory="/nowhere", identity=ourselves, **keys)

    def open(self, gid: int | None = None) -> int:
        """Return a new worker's end of the pipe. Raises SpawnError."""
        site = self.site
        if gid is not None and site.identity:
            site = replace(site, identity=replace(site.identity, gid=gid))
        return self.thread.do(self.logs.open, site)

    @contextlib.contextmanager
    def worker(self) -> Iterator[int]:
        """Yield a new worker's end; what was written is in the log afterwards."""
        end = self.open()
        try:
            yield end
            self.drain()
        finally:
            os.close(end)

    def drain(self) -> None:
        """Wait until all that was written is in the log."""
        self.thread.do(self.logs.drain, "one")

    def tail(self, name: str, lines: int = 10) -> list[str]:
        """Return the last lines since the latest start."""
        return self.thread.do(self.logs.tail, name, lines)

    def text(self) -> bytes:
        """Return what is in the log, without what was put aside."""
        return self.path.read_bytes()

    def parts(self) -> list[bytes]:
        """Return the texts of all files of the log, the oldest first."""
        found: list[bytes] = []
        number = 0
        path = self.path
        packed = path.with_name(path.name + ".gz")
        while path.exists() or packed.exists():
            found.insert(0, path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes()))
            number += 1
            path = self.path.with_name(f"{self.path.name}.{number}")
            packed = path.with_name(path.name + ".gz")
        return found

    def packed(self, number: int) -> None:
        """Wait until so many old files are packed, and nothing is being packed."""

        def there() -> bool:
            names = os.listdir(self.home)
            part = f"{self.path.name}.part"
            return part not in names and sum(name.endswith(".gz") for name in names) == number

        eventually(there, f"{number} files are packed")


@contextlib.contextmanager
def log_desk(home: Path, **keys: Any) -> Iterator[LogDesk]:
    """Yield a desk for a site with these keys."""
    with loop_thread() as thread:
        desk = LogDesk(thread, home, keys)
        try:
            yield desk
        finally:
            thread.do(desk.logs.close)
