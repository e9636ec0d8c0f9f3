"""What has been taken out of a pipe and is not in a log yet: it survives the daemon, whenever that dies.

A small file that is mapped into memory; whoever is killed leaves it as it is. The pipe is read straight
into it, and before each write it is noted where in which file that write begins. One chunk at a time.
"""

import contextlib
import logging
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

CHUNK = 262144  # bytes read at once
NAME = "_journal"  # among the pipes; no site can have this name
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_REST, _READING, _WRITING = 0, 1, 2
# Where what is. A kill cannot tear a single byte; what is longer is written first and then pointed at by one.
_STATE, _TURN = 0, 1
_NONCE = slice(8, 24)  # in the place of the chunk until there is one; no worker can know it
_WHOSE = struct.Struct("<IB64s")  # length of the chunk; the site's name
_WHOSE_AT = 24
_HOW = struct.Struct("<?B64sH1024s")  # whether inside a line, the stamp, what goes before
_HOW_AT = 256
_PLACE = struct.Struct("<QQQ")  # inode, its size, how much of the text was written before
_PLACES_AT = (128, 160)
_CHUNK_AT = 4096
SIZE = _CHUNK_AT + CHUNK


@dataclass(frozen=True, slots=True)
class How:
    """What the text of a chunk is: ``before``, and then the chunk with ``stamp`` in front of its lines."""

    inside: bool
    stamp: bytes = b""
    before: bytes = b""


@dataclass(frozen=True, slots=True)
class Rest:
    """What a daemon that was killed had in its hands."""

    name: str
    chunk: bytes
    how: How | None  # None: it had not begun to write
    inode: int = 0  # of the file that was being written,
    size: int = 0  # its size before that,
    done: int = 0  # and how much of the text was in the log by then


class Journal:
    """The chunk that is on its way from a pipe to a log."""

    def __init__(self, directory: Path) -> None:
        """Use a file in ``directory`` from `open` on, and none before."""
        self._directory = directory
        self._memory: mmap.mmap | None = None
        self._nonce = os.urandom(16)

    def open(self) -> Rest | None:
        """Begin to note what is on its way; return what an earlier daemon has left.

        Where there is no room for the file all goes on without it.
        """
        try:
            self._memory = _map(self._directory)
        except OSError as error:
            log.warning("cannot note what is on its way to the logs: %s", error.strerror)
            return None
        rest = None
        with contextlib.suppress(ValueError):
            rest = _rest(self._memory)
        self._memory[_STATE] = _REST
        self._memory[_NONCE] = self._nonce
        return rest

    def read(self, name: str, pipe: int, count: int) -> bytes | memoryview:
        """Return what is in ``pipe``, which are ``count`` bytes, or the first CHUNK of them. Raises OSError.

        Nobody else reads, so they will come. They are gone with the next ones.
        """
        memory = self._memory
        if memory is None:
            try:
                return os.read(pipe, CHUNK)
            except BlockingIOError:
                return b""
        count = min(count, CHUNK)
        memory[_CHUNK_AT : _CHUNK_AT + 16] = self._nonce
        whose = name.encode()
        _WHOSE.pack_into(memory, _WHOSE_AT, count, len(whose), whose)
        memory[_STATE] = _READING
        place = memoryview(memory)[_CHUNK_AT : _CHUNK_AT + count]
        try:
            return place[: os.readv(pipe, [place])]
        except BlockingIOError:  # a worker has read its own output
            return b""

    def begin(self, how: How, inode: int, size: int) -> None:
        """Know what the text of the chunk is, and where it will be written."""
        if self._memory is None:
            return
        _HOW.pack_into(
            self._memory, _HOW_AT, how.inside, len(how.stamp), how.stamp, len(how.before), how.before
        )
        self._memory[_TURN] = 0
        _PLACE.pack_into(self._memory, _PLACES_AT[0], inode, size, 0)
        self._memory[_STATE] = _WRITING

    def go_on(self, inode: int, size: int, done: int) -> None:
        """Know where the text from ``done`` on will be written."""
        if self._memory is None:
            return
        turn = 1 - self._memory[_TURN]
        _PLACE.pack_into(self._memory, _PLACES_AT[turn], inode, size, done)
        self._memory[_TURN] = turn

    def end(self) -> None:
        """Know that nothing is on its way any more."""
        if self._memory is not None:
            self._memory[_STATE] = _REST

    def close(self) -> None:
        """Forget it all."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None


def _map(directory: Path) -> mmap.mmap:
    """Return the file in memory. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory, 0o700)
    file = os.open(directory / NAME, _FLAGS, 0o600)
    try:
        if os.fstat(file).st_size != SIZE:
            os.ftruncate(file, 0)
        # Or a full disk would end us when we write into memory.
        os.posix_fallocate(file, 0, SIZE)
        return mmap.mmap(file, SIZE)
    finally:
        os.close(file)


def _rest(memory: mmap.mmap) -> Rest | None:
    """Return what was on its way. Raises ValueError if nobody can know."""
    state = memory[_STATE]
    if state not in (_READING, _WRITING):
        return None
    count, length, whose = _WHOSE.unpack_from(memory, _WHOSE_AT)
    name = whose[:length].decode()
    chunk = memory[_CHUNK_AT : _CHUNK_AT + min(count, CHUNK)]
    if state == _READING:
        nothing = memory[_NONCE][: len(chunk)]
        return None if chunk[:16] == nothing else Rest(name, chunk, None)
    inside, length, stamp, size_before, before = _HOW.unpack_from(memory, _HOW_AT)
    inode, size, done = _PLACE.unpack_from(memory, _PLACES_AT[memory[_TURN] % 2])
    return Rest(name, chunk, How(inside, stamp[:length], before[:size_before]), inode, size, done)
