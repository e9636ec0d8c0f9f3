"""A process kept ready to become a worker of another user. There is at most one; who finds none has one made.

See linodmgr.becoming for why Popen is nothing for that. It would have to fork, too, for which the
kernel copies what it knows of the daemon's memory: this one only has to execute.
"""

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from linodmgr import becoming
from linodmgr.daemon.children import end
from linodmgr.daemon.contain import Room
from linodmgr.launch import SPARE, Launch

ANSWER_WITHIN = 5.0  # seconds, while it is root's: it may just have been made
EXECUTE_WITHIN = 0.2  # seconds, while it is the user's; it takes less than a thousandth
AGAIN_AFTER = 0.5  # seconds until the next one is made, so that nobody's restart has to wait for it


class Spare:
    """At most one process, root's, that waits to be told whom to become."""

    def __init__(self, ours: set[int], make_room: Callable[[], Room], program: Path = SPARE) -> None:
        self._ours = ours  # children that are known; while it waits, it is one of them
        self._make_room = make_room
        self._program = program
        self._room: Room | None = None  # where it waits: to move a process takes the kernel a while
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._again: asyncio.TimerHandle | None = None
        self._closed = False

    def become(self, start: Launch, output: int, lock: int, room: Room) -> "subprocess.Popen[bytes]":
        """Return the process, now the worker that ``start`` describes, or about to be: its user may delay it.

        It is in ``room`` and has the lock before it executes anything.

        Raises OSError like Popen if it could not be executed, with EAGAIN if nobody was there to do it.
        In either case the next one is made soon.
        """
        if self._process is None or self._process.poll() is not None:
            room.pid = 0  # of none, or of one that has ended
            try:
                self._renew()
            except OSError as error:
                raise OSError(errno.EAGAIN, f"cannot run {sys.executable}: {error.strerror}") from error
        process, line = self._take()
        self._prepare_soon()
        assert process is not None
        assert line is not None
        with line:
            try:
                if room.pid != process.pid:
                    room.take(process.pid)
                line.settimeout(ANSWER_WITHIN)
                becoming.tell(line, start, {1: output, 2: output, lock: lock})
                code = becoming.failure(_answer(line))
            except OSError as error:  # it was ended by somebody, or does not answer
                end(process)
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
        if code:
            end(process)
            raise OSError(code, os.strerror(code))
        return process

    def lend(self) -> Room | None:
        """Return the room that the process waits in, for a worker to live there; None if there is none."""
        room, self._room = self._room, None
        return room

    def take_back(self, room: Room) -> bool:
        """Have a room again if the process still waits there: nobody became a worker."""
        if self._process is None or room.pid != self._process.pid:
            return False
        self._room = room
        return True

    @property
    def cgroup(self) -> str:
        """Where the process waits; empty: nowhere, or in no control group."""
        return self._room.cgroup if self._room else ""

    def close(self) -> None:
        """End what waits, and make no other."""
        self._closed = True
        self.rest()

    def rest(self) -> None:
        """End what waits, and make no other before one was asked for."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._end()

    def _prepare_soon(self) -> None:
        if self._again is None and not self._closed:
            self._again = asyncio.get_running_loop().call_later(AGAIN_AFTER, self._prepare)

    def _prepare(self) -> None:
        self._again = None
        if self._process is not None or self._closed:
            return
        try:
            process = self._make()
        except OSError:  # scarce resources: workers come first
            return
        self._room = self._make_room()
        with contextlib.suppress(OSError):  # it has ended, which will be seen
            self._room.take(process.pid)

    def _make(self) -> "subprocess.Popen[bytes]":
        """Return the process, of which there was none. Raises OSError."""
        process, line = becoming.make(self._program)
        self._ours.add(process.pid)
        self._process, self._line = process, line
        # It says nothing before it is asked: what can be read is its end.
        asyncio.get_running_loop().add_reader(line, self._end)
        return process

    def _renew(self) -> None:
        """Have a process that waits, in place of none or of one that has ended. Raises OSError."""
        _, line = self._take()
        if line is not None:
            line.close()
        self._make()

    def _take(self) -> "tuple[subprocess.Popen[bytes] | None, socket.socket | None]":
        process, line = self._process, self._line
        self._process = self._line = None
        if process is not None:
            self._ours.discard(process.pid)
        if line is not None:
            asyncio.get_running_loop().remove_reader(line)
        return process, line

    def _end(self) -> None:
        process, line = self._take()
        if line is not None:
            line.close()
        if process is not None:
            end(process)
        if room := self.lend():
            room.close()


def _answer(line: socket.socket) -> bytes:
    """Return all that it answers; once its user may hold it up, what it has answered. Raises OSError."""
    answer = b""
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        while more := line.recv(16):
            answer += more
            line.settimeout(EXECUTE_WITHIN)
    return answer
