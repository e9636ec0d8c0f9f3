"""What one site writes: out of its pipe, with a time stamp in front of each line, into its log.

A worker never waits for a disk: what cannot be written is counted, and said once there is room again.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linodmgr.core.site import Site
from linodmgr.daemon import fifo, rotation
from linodmgr.daemon.journal import How, Journal, Rest
from linodmgr.daemon.losses import Losses
from linodmgr.daemon.sitelog import NEWLINE, SiteLog, reason_of
from linodmgr.stamps import Clock, begun, stamped

log = logging.getLogger(__name__)

PIECE = 65536  # bytes that get their stamps at once: what becomes larger costs the kernel more than us
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
AGAIN_AFTER = 0.25  # seconds, when there was no descriptor left
TURN = 4  # chunks before another site has its turn


class Output:
    """One site's pipe and log; ``rotated`` is called when its log was put aside."""

    def __init__(
        self,
        name: str,
        file: SiteLog,
        pipe: Path,
        journal: Journal,
        wall: Callable[[], float],
        rotated: Callable[[], None],
    ) -> None:
        self.name = name
        self.file = file
        self.losses = Losses(pipe.with_name(f"_lost.{name}"))
        self.began: int | None = None  # where the output of the latest start begins
        self._journal = journal
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

    def attach(self, uid: int) -> bool:
        """Go on reading the pipe of a worker of an earlier daemon, if it is there. Raises OSError.

        It is that of ``uid``, whose worker it is: the configuration may name another user by now.
        """
        if self._pipe < 0 and (pipe := fifo.join(self._path, uid)) is not None:
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
        if not asyncio.get_running_loop().remove_reader(self._pipe) and (rest := fifo.waiting(self._pipe)):
            self._lose(rest, reason_of(OSError(errno.EMFILE, os.strerror(errno.EMFILE))))
        os.close(self._pipe)
        self._pipe = -1

    def discard(self) -> None:
        """Remove the pipe, unless somebody writes into it."""
        self.hang_up()
        self.losses.forget()
        fifo.discard_if_unused(self._path)

    def state(self) -> dict[str, Any]:
        """Return what the next daemon has to know."""
        return {
            "began": self.began,
            "end": self.file.end,
            "files": self.file.files,
            "pipe": self._pipe,  # a worker may end meanwhile, and what is in a pipe with it
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Know what an earlier daemon knew. Raises KeyError, TypeError or ValueError."""
        began = state["began"]
        self.began = None if began is None else int(began)
        self.file.end = int(state["end"])
        self.file.files = tuple((int(inode), int(begin)) for inode, begin in state["files"])
        if (pipe := int(state.get("pipe", -1))) >= 0:
            os.set_inheritable(pipe, False)
            self._listen(pipe)

    def resume(self, rest: Rest) -> None:
        """Write what an earlier daemon had taken out of the pipe when it was killed."""
        try:
            if rest.how is None:
                self._write(rest.chunk)
                return
            text = rest.how.before + bytes(stamped(rest.chunk, rest.how.stamp, inside=rest.how.inside))
            written = rest.done + max(rotation.size_of(self.file.path, rest.inode) - rest.size, 0)
            self.file.open()
            if self._append(text[written:])[1]:
                self._lose(len(text) - written, "the daemon was killed")
        except OSError as error:
            self._lose(len(rest.chunk), reason_of(error))
        finally:
            self.file.close()

    def _listen(self, pipe: int) -> None:
        self._pipe = pipe
        asyncio.get_running_loop().add_reader(pipe, self._take_turn)

    def _listen_later(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.remove_reader(self._pipe):
            loop.call_later(AGAIN_AFTER, self._listen_again, self._pipe)

    def _listen_again(self, pipe: int) -> None:
        if self._pipe == pipe:
            self._listen(pipe)

    def _take_turn(self) -> None:
        for _ in range(TURN):
            if not self._receive():
                self.file.close()
                return

    def _receive(self) -> int:
        """Write what is in the pipe, at most a chunk; return how many bytes that were."""
        count = fifo.waiting(self._pipe)
        if not count:
            return 0
        try:
            self.file.open()
        except OSError as error:
            if error.errno in NO_DESCRIPTOR:  # our own trouble: what is in the pipe is safe there
                self._listen_later()
                return 0
        chunk = self._journal.read(self.name, self._pipe, count)
        if chunk:
            self._write(chunk)
        self._journal.end()
        return len(chunk)

    def _write(self, chunk: bytes | memoryview) -> None:
        try:
            self.file.open()
        except OSError as error:
            self._lose(len(chunk), reason_of(error))
            return
        stamp = self._clock.stamp(self._wall()) if self._clock else b""
        if self.losses.unsaid:
            self._recover(chunk, stamp)
            return
        was_inside = self.file.is_inside
        self._journal.begin(How(was_inside, stamp), self.file.inode, self.file.size)
        written = 0
        size = PIECE if stamp else len(chunk)
        for begin in range(0, len(chunk), size):
            piece = chunk[begin : begin + size]
            inside = chunk[begin - 1] != NEWLINE if begin else was_inside
            text = stamped(bytes(piece), stamp, inside=inside) if stamp else piece
            done, reason = self._append(text, written)
            if reason:
                rest = memoryview(text)[done:]
                inside = text[done - 1] != NEWLINE if done else inside
                lost = len(rest) - begun(rest, inside=inside) * len(stamp)
                self._lose(lost + len(chunk) - begin - len(piece), reason)
                return
            written += len(text)

    def _append(self, text: bytes | memoryview, before: int = 0) -> tuple[int, str]:
        """Return how much of ``text`` is in the log, and why that is not all.

        ``before``: how much of the chunk's text has been written.
        """
        done, reason, view = 0, "", memoryview(text)
        try:
            while done < len(text) and not reason:
                if self.file.make_room():
                    self._rotated()
                self._journal.go_on(self.file.inode, self.file.size, before + done)
                count, reason = self.file.append(view[done : self.file.portion(view, done)])
                done += count
        except OSError as error:
            reason = reason_of(error)
        return done, reason

    def _recover(self, chunk: bytes | memoryview, stamp: bytes) -> None:
        """Write again after something was lost, and say so first."""
        words = f"linodmgr: {self.losses.unsaid} bytes of output were lost: {self.losses.why}\n".encode()
        try:
            if self.file.make_room():
                self._rotated()
            before = (b"\n" if self.file.is_inside else b"") + stamp + words
            self._journal.begin(How(False, stamp, before), self.file.inode, self.file.size)
            text = before + bytes(stamped(bytes(chunk), stamp, inside=False))
            _, reason = self.file.append(memoryview(text), whole=True)
        except OSError as error:
            reason = reason_of(error)
        if reason:
            self._lose(len(chunk), reason)
            return
        log.info("%s: its output is written again, %d bytes were lost", self.name, self.losses.unsaid)
        self.losses.say()

    def _lose(self, count: int, reason: str) -> None:
        if not self.losses.unsaid:
            log.error("%s: its output is being lost: %s", self.name, reason)
        self.losses.add(count, reason)
