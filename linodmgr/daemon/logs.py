"""A worker's output → its file in the log directory."""

import os
import stat
from pathlib import Path

from linodmgr.core.site import Site
from linodmgr.core.states import Remedy
from linodmgr.daemon.spawning import SpawnError, failure

TAIL_BYTES = 4096


class Logs:
    """The log files of the sites: ``SITE.log``, owned by the daemon's user and the site's group."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._begins: dict[str, int] = {}  # where the output of the latest start begins

    def open(self, site: Site) -> int:
        """Return a descriptor that appends to the site's log. Raises SpawnError."""
        path = self._directory / f"{site.name}.log"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            log = os.open(path, flags, 0o640)
        except OSError as error:
            raise _failure(f"open the log {str(path)!r}", error) from error
        try:
            self._own(log, site)
        except (OSError, SpawnError) as error:
            os.close(log)
            raise error if isinstance(error, SpawnError) else _failure(f"own {str(path)!r}", error) from error
        return log

    def path(self, name: str) -> Path:
        """Return the log file of a site."""
        return self._directory / f"{name}.log"

    def size(self, name: str) -> int:
        """Return how long it is by now, in bytes."""
        try:
            return os.stat(self.path(name)).st_size
        except OSError:
            return 0

    def begin(self, name: str) -> int | None:
        """Return where the output of the latest start begins, if there has been one."""
        return self._begins.get(name)

    def tail(self, name: str, lines: int = 10) -> list[str]:
        """Return the last lines that a worker wrote since its latest start, at most 4 KiB."""
        return self.between(name, self._begins.get(name), None, lines)

    def between(self, name: str, begin: int | None, end: int | None, lines: int) -> list[str]:
        """Return the last lines of a part of the log, at most 4 KiB; ``end`` None: its end."""
        try:
            with open(self.path(name), "rb") as file:
                whole = file.seek(0, os.SEEK_END)
                end = whole if end is None else min(end, whole)
                begin = file.seek(max(end if begin is None else min(begin, end), end - TAIL_BYTES))
                text = file.read(end - begin)
        except OSError:
            return []
        return text.decode("utf-8", "replace").splitlines()[-lines:]

    def _own(self, log: int, site: Site) -> None:
        found = os.fstat(log)
        if not stat.S_ISREG(found.st_mode):
            raise _failure(f"open the log of {site.name!r}", OSError("it is not a file"))
        os.set_blocking(log, True)
        gid = site.identity.gid if site.identity else found.st_gid
        if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (0, gid):
            os.fchown(log, 0, gid)
        if stat.S_IMODE(found.st_mode) != 0o640:
            os.fchmod(log, 0o640)
        self._begins[site.name] = found.st_size


def _failure(verb: str, error: OSError) -> SpawnError:
    """Return what keeps us from a log: no fault of the site's, so it is soon tried again and then alerted."""
    return SpawnError(failure(verb, error).reason, Remedy.BACKOFF)
