"""The output of all sites: their pipes, their logs, and what others want to know of them."""

import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from linodmgr.core.site import Site
from linodmgr.core.states import Remedy
from linodmgr.daemon import rotation
from linodmgr.daemon.journal import Journal, Rest
from linodmgr.daemon.output import Output
from linodmgr.daemon.packing import Packer
from linodmgr.daemon.sitelog import SiteLog
from linodmgr.daemon.spawning import SpawnError, failure
from linodmgr.stamps import LENGTH, without_from

log = logging.getLogger(__name__)

TAIL_BYTES = 4096
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Logs:
    """The logs of the sites: ``SITE.log``, owned by the daemon's user and the site's group.

    A worker writes into a pipe in the directory ``pipes``, which is made when it is needed. Positions
    are bytes ever written into the log of a site, whatever was put aside meanwhile.
    """

    def __init__(self, directory: Path, pipes: Path, wall: Callable[[], float] = time.time) -> None:
        self.packer = Packer()
        self._journal = Journal(pipes)
        self._directory = directory
        self._pipes = pipes
        self._wall = wall
        self._outputs: dict[str, Output] = {}
        self._rest: Rest | None = None  # what an earlier daemon had in its hands

    def open(self, site: Site) -> int:
        """Return a new worker's end of its site's pipe, for the caller to close. Raises SpawnError."""
        output = self._output(site.name)
        output.adjust(site)
        try:
            output.begin()
        except OSError as error:
            raise _failure(f"open the log {str(output.file.path)!r}", error) from error
        try:
            return output.open()
        except OSError as error:
            raise _failure(f"make the pipe {str(self._pipes / site.name)!r}", error) from error

    def resume(self, sites: Iterable[Site]) -> None:
        """Write what an earlier daemon of these sites had in its hands when it was killed."""
        self._rest = self._journal.open()
        for site in sites:
            self._resume(site)
            self.packer.look(self.path(site.name))

    def attach(self, site: Site, uid: int) -> bool:
        """Go on reading what a worker of ``uid`` writes that an earlier daemon has started.

        Return whether we can.
        """
        self._resume(site)
        output = self._output(site.name)
        output.adjust(site)
        try:
            is_there, reason = output.attach(uid), "its pipe is no longer there"
        except OSError as error:
            is_there, reason = False, error.strerror or str(error)
        if not is_there:
            log.error("%s: cannot read the output of its worker: %s", site.name, reason)
        return is_there

    def adjust(self, site: Site) -> None:
        """Follow the new configuration of a site."""
        if site.name in self._outputs:
            self._outputs[site.name].adjust(site)

    def drain(self, name: str) -> None:
        """Take in all that a site has written until now."""
        if output := self._outputs.get(name):
            output.drain()

    def rest(self, name: str) -> None:
        """Read no more of a site that has no worker: descriptors are scarce where there are many."""
        if output := self._outputs.get(name):
            output.hang_up()

    def remove(self, name: str) -> None:
        """Take in the rest of a site that is gone, and remove its pipe."""
        if output := self._outputs.pop(name, None):
            output.discard()

    def close(self) -> None:
        """Take in the rest of all sites, and remove their pipes."""
        for name in list(self._outputs):
            self.remove(name)
        self.packer.stop()
        self._journal.close()

    def state(self) -> dict[str, Any]:
        """Return what the next daemon has to know, after taking in what there is."""
        for output in self._outputs.values():
            output.drain()
        return {name: output.state() for name, output in self._outputs.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Know what an earlier daemon knew of the logs. Raises KeyError, TypeError or ValueError."""
        for name, known in state.items():
            self._output(name).restore(known)

    def lost(self, name: str) -> int:
        """Return how many bytes of a site's output were lost since the daemon began."""
        output = self._outputs.get(name)
        return output.losses.lost if output else 0

    def path(self, name: str) -> Path:
        """Return the log file of a site."""
        return self._directory / f"{name}.log"

    def size(self, name: str) -> int:
        """Return where the log of a site ends, with all that was written until now."""
        if output := self._outputs.get(name):
            output.drain()
            return output.file.end
        return self.place(name)[1]

    def place(self, name: str) -> tuple[int, int]:
        """Return the inode of a site's log, 0 if there is none, and its length in bytes, until now."""
        self.drain(name)
        try:
            found = os.stat(self.path(name))
        except OSError:
            return 0, 0
        return found.st_ino, found.st_size

    def begin(self, name: str) -> int | None:
        """Return where the output of the latest start begins, if there has been one."""
        output = self._outputs.get(name)
        return output.began if output else None

    def tail(self, name: str, lines: int = 10) -> list[str]:
        """Return the last lines that a worker wrote since its latest start, at most 4 KiB."""
        return self.between(name, self.begin(name), self.size(name), lines)

    def between(self, name: str, begin: int | None, end: int, lines: int) -> list[str]:
        """Return the last lines of a part of the log, without stamps, at most 4 KiB. May run in a thread."""
        begin = 0 if begin is None else begin
        return _text(self._read(name, max(begin, end - TAIL_BYTES), end, begin)).splitlines()[-lines:]

    def text(self, name: str, begin: int, limit: int) -> str:
        """Return what a site has written from ``begin`` until now, at most so many bytes, no stamps."""
        return _text(self._read(name, begin, min(self.size(name), begin + limit), begin))

    def _resume(self, site: Site) -> None:
        if self._rest is not None and self._rest.name == site.name:
            rest, self._rest = self._rest, None
            output = self._output(site.name)
            output.adjust(site)
            output.resume(rest)

    def _output(self, name: str) -> Output:
        if name not in self._outputs:
            path = self.path(name)
            pipe = self._pipes / name
            self._outputs[name] = Output(
                name, SiteLog(path), pipe, self._journal, self._wall, lambda: self.packer.add(path)
            )
        return self._outputs[name]

    def _read(self, name: str, begin: int, end: int, least: int) -> bytes:
        """Return a part of the log without stamps, as far as it is in the latest two files.

        From ``least`` on it may be looked at whether a stamp is cut in two.
        """
        output = self._outputs.get(name)
        files = output.file.files if output else ((0, 0),)
        before = min(begin - max(least, 0), LENGTH)
        text = b""
        for inode, start in files:
            if end > start:
                found = self._part(name, inode, max(begin - before - start, 0), end - start)
                text = found + text
            end = min(end, start)
        return without_from(text, max(0, before))

    def _part(self, name: str, inode: int, begin: int, end: int) -> bytes:
        """Return a part of the file with this inode, 0: the latest, wherever it is by now."""
        path = self.path(name)
        for place in (path, rotation.old(path, 1), rotation.old(path, 2)):
            try:
                with open(os.open(place, _READ), "rb") as file:
                    if inode in (0, os.fstat(file.fileno()).st_ino):
                        file.seek(begin)
                        return file.read(max(end - begin, 0))
            except OSError:
                continue
        return b""


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def _failure(verb: str, error: OSError) -> SpawnError:
    """Return what keeps us from a log: no fault of the site's, so it is soon tried again and then alerted."""
    return SpawnError(failure(verb, error).reason, Remedy.BACKOFF)
