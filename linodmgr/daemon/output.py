"""What one site writes: out of its pipe, with a time stamp in front of each line, into its log.

A worker never waits for a disk: what cannot be written is counted, and said once there is room again.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linodmgr.core.site import Site
from linodmgr.daemon import fifo
from linodmgr.daemon.sitelog import SiteLog, reason_of
from linodmgr.stamps import Clock, begun, stamped

log = logging.getLogger(__name__)

CHUNK = 65536  # bytes read at once
TURN = 4  # chunks before another site has its turn


class Output:
    """One site's pipe and log; ``rotated`` is called when its log was put aside."""

    def __init__(
        self, name: str, file: SiteLog, pipe: Path, wall: Callable[[], float], rotated: Callable[[], None]
    ) -> None:
        self.name = name
        self.file = file
        self.lost = 0  # bytes, since the daemon began
        self.began: int | None = None  # where the output of the latest start begins
        self._unsaid = 0  # of the lost ones, those that its log does not tell of
        self._why = ""
        self._path = pipe
        self._pipe = -1
        self._uid = -1
        self._wall = wall
        self._rotated = rotated
        self._clock: Clock | None = None  # None: the log has no stamps

    def adjust(self, site: Site) -> None:
        """Follow the configuration."""
        self.file.max_bytes, self.file.keep = site.log_max_bytes, site.log_keep
        if site.identity:
            self.file.gid, self._uid = site.identity.gid, site.identity.uid
        if not site.log_time:
            self._clock = None
        elif self._clock is None:
            self._clock = Clock()

    def begin(self) -> None:
        """Let the output of a new worker begin with a line of its own. Raises OSError."""
        self.drain()
        try:
            self.file.open()
            if self.file.is_inside and self._clock:
                self.file.append(memoryview(b"\n"))
        finally:
            self.file.close()
        self.began = self.file.end

    def open(self) -> int:
        """Return a worker's end of the pipe, which is made if need be. Raises OSError."""
        if self._pipe >= 0 and not fifo.is_at(self._path, self._pipe, self._uid):
            self.hang_up()
        if self._pipe < 0:
            self._listen(fifo.make(self._path, self._uid))
        return fifo.worker_end(self._path, self._pipe)

    def attach(self) -> bool:
        """Go on reading the pipe of a worker of an earlier daemon, if it is there. Raises OSError."""
        if self._pipe < 0 and (pipe := fifo.join(self._path, self._uid)) is not None:
            self._listen(pipe)
        return self._pipe >= 0

    def drain(self) -> None:
        """Take all that has been written until now."""
        if self._pipe < 0:
            return
        left = fifo.holds(self._pipe)  # somebody may go on writing
        while left > 0 and (count := self._receive()):
            left -= count
        self.file.close()

    def hang_up(self) -> None:
        """Take what is there, and read no more."""
        if self._pipe < 0:
            return
        self.drain()
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)
        self._pipe = -1

    def discard(self) -> None:
        """Remove the pipe, unless somebody writes into it."""
        self.hang_up()
        fifo.discard_if_unused(self._path)

    def state(self) -> dict[str, Any]:
        """Return what the next daemon has to know."""
        return {
            "began": self.began,
            "end": self.file.end,
            "files": self.file.files,
            "lost": self.lost,
            "unsaid": self._unsaid,
            "why": self._why,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Know what an earlier daemon knew. Raises KeyError, TypeError or ValueError."""
        began = state["began"]
        self.began = None if began is None else int(began)
        self.file.end = int(state["end"])
        self.file.files = tuple((int(inode), int(begin)) for inode, begin in state["files"])
        self.lost, self._unsaid, self._why = int(state["lost"]), int(state["unsaid"]), str(state["why"])

    def _listen(self, pipe: int) -> None:
        self._pipe = pipe
        asyncio.get_running_loop().add_reader(pipe, self._take_turn)

    def _take_turn(self) -> None:
        for _ in range(TURN):
            if not self._receive():
                self.file.close()
                return

    def _receive(self) -> int:
        """Write what is in the pipe, at most a chunk; return how many bytes that were."""
        try:
            chunk = os.read(self._pipe, CHUNK)
        except BlockingIOError:
            return 0
        self._write(chunk)
        return len(chunk)

    def _write(self, chunk: bytes) -> None:
        try:
            self.file.open()
        except OSError as error:
            self._lose(len(chunk), reason_of(error))
            return
        stamp = self._clock.stamp(self._wall()) if self._clock else b""
        if self._unsaid:
            self._resume(chunk, stamp)
            return
        was_inside = self.file.is_inside
        text = stamped(chunk, stamp, inside=was_inside) if stamp else chunk
        done, reason = self._append(text)
        if reason:
            rest = memoryview(text)[done:]
            inside = text[done - 1 : done] != b"\n" if done else was_inside
            self._lose(len(rest) - begun(rest, inside=inside) * len(stamp), reason)

    def _append(self, text: bytes) -> tuple[int, str]:
        """Return how much of ``text`` is in the log, and why that is not all."""
        done, reason, view = 0, "", memoryview(text)
        try:
            while done < len(text) and not reason:
                if self.file.make_room():
                    self._rotated()
                count, reason = self.file.append(view[done : self.file.portion(text, done)])
                done += count
        except OSError as error:
            reason = reason_of(error)
        return done, reason

    def _resume(self, chunk: bytes, stamp: bytes) -> None:
        """Write again after something was lost, and say so first."""
        words = f"linodmgr: {self._unsaid} bytes of output were lost: {self._why}\n".encode()
        try:
            if self.file.make_room():
                self._rotated()
            start = b"\n" if self.file.is_inside else b""
            text = start + stamp + words + stamped(chunk, stamp, inside=False)
            _, reason = self.file.append(memoryview(text), whole=True)
        except OSError as error:
            reason = reason_of(error)
        if reason:
            self._lose(len(chunk), reason)
            return
        log.info("%s: its output is written again, %d bytes were lost", self.name, self._unsaid)
        self._unsaid = 0

    def _lose(self, count: int, reason: str) -> None:
        if not self._unsaid:
            log.error("%s: its output is being lost: %s", self.name, reason)
        self.lost += count
        self._unsaid += count
        self._why = reason
