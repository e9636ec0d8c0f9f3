"""The files of one log: ``SITE.log`` that grows, ``SITE.log.1`` before it, then ``SITE.log.2.gz`` and so on.

They get other numbers and are packed while somebody reads them.
"""

import contextlib
import errno
import os
import stat
import struct
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import click

BLOCK = 65536  # bytes read at once
PACKED = ".gz"
TRIES = 20  # to find a file while it gets other numbers
NOT_A_FILE = "it is not a file"


class Part:
    """One of the files, open; it stays the same whatever its name becomes."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError."""
        self._path = path
        self.is_packed = path.suffix == PACKED
        self._is_damaged = False
        self._raw = open(path, "rb", buffering=0, opener=_opened)  # noqa: SIM115
        self.file: BinaryIO = self._raw
        if self.is_packed:
            import gzip

            self.file = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw, mode="rb"))

    def _block(self) -> bytes:
        """Return what comes next. A file that was packed and is damaged ends there, after that is said."""
        try:
            return self.file.read(BLOCK)
        except (OSError, EOFError, zlib.error) as error:
            if not self._is_damaged:
                click.echo(f"linodmgr: cannot read all of {self._path}: it is damaged: {error}", err=True)
            self._is_damaged = True
            return b""

    def close(self) -> None:
        """Be open no longer."""
        self._raw.close()

    def has_inode(self, inode: int) -> bool:
        """Whether it is the file with this number."""
        return os.fstat(self._raw.fileno()).st_ino == inode

    def size(self) -> int:
        """Return how many bytes are in the file itself."""
        return os.fstat(self._raw.fileno()).st_size

    def changed(self) -> int:
        """Return when it was written last, in nanoseconds; packing keeps that."""
        return os.fstat(self._raw.fileno()).st_mtime_ns

    def is_at(self, path: Path) -> bool:
        """Whether this file, or what was made of it when it was packed, is at ``path``."""
        try:
            found = os.stat(path)
            own = os.fstat(self._raw.fileno())
            if os.path.samestat(found, own):
                return True
            if self.is_packed or path.suffix != PACKED or found.st_mtime_ns != own.st_mtime_ns:
                return False
            with path.open("rb") as file:
                file.seek(-4, os.SEEK_END)
                (length,) = struct.unpack("<I", file.read(4))  # RFC 1952: modulo 2^32
        except OSError:
            return False
        return bool(length == own.st_size % 2**32)

    def last(self, count: int) -> list[bytes]:
        """Return its last ``count`` lines without their newlines; the last one may have none."""
        if self.is_packed:
            return list(deque(self.lines(), count))
        whole, rest = self.last_and_rest(count)
        return [*whole, rest][-count:] if rest else whole

    def lines(self) -> Iterator[bytes]:
        """Yield all its lines without their newlines."""
        self.file.seek(0)
        if last := (yield from split(iter(self._block, b""))):
            yield last

    def last_and_rest(self, count: int) -> tuple[list[bytes], bytes]:
        """Return the last ``count`` whole lines of what is not packed, and what comes after them."""
        end = position = self.file.seek(0, os.SEEK_END)
        blocks: list[bytes] = []
        newlines = 0
        while position > 0 and newlines <= count:
            start = max(0, position - BLOCK)
            block = os.pread(self._raw.fileno(), position - start, start)
            blocks.insert(0, block)
            newlines += block.count(b"\n")
            position = start
        self.file.seek(end)
        *lines, rest = b"".join(blocks).split(b"\n")
        return lines[max(0, len(lines) - count) :], rest


def split(blocks: Iterable[bytes], rest: bytes = b"") -> Generator[bytes, None, bytes]:
    r"""Yield the whole lines in ``rest`` and ``blocks`` without their newlines; return what comes after them.

    >>> list(split([b"e\ntwo", b"\n", b"three"], b"on"))
    [b'one', b'two']
    """
    pieces = [rest]  # a line may be longer than any block
    for block in blocks:
        first, *others = block.split(b"\n")
        pieces.append(first)
        if others:
            yield b"".join(pieces)
            yield from others[:-1]
            pieces = others[-1:]
    return b"".join(pieces)


def _opened(path: str, flags: int) -> int:
    """Return what `open` asks for, if it is a file: a pipe would keep us waiting, a device has no end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
    if stat.S_ISREG(mode := os.fstat(descriptor).st_mode) or stat.S_ISDIR(mode):  # `open` refuses directories
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, NOT_A_FILE)


def old(path: Path, number: int) -> Iterator[Path]:
    """Yield how the file of this number may be called; 0 is the log itself."""
    if number == 0:
        yield path
        return
    plain = path.with_name(f"{path.name}.{number}")
    yield plain
    yield plain.with_name(plain.name + PACKED)


def opened_old(path: Path, number: int) -> Part | None:
    """Return the file of this number, or None if there is none. Raises OSError."""
    for place in old(path, number):
        with contextlib.suppress(FileNotFoundError):
            return Part(place)
    return None


def number_of(path: Path, part: Part) -> int | None:
    """Return which number a file of the log at ``path`` has by now; None: it is gone."""
    number = 0
    while True:
        places = list(old(path, number))
        if any(part.is_at(place) for place in places):
            return number
        if number and not any(map(os.path.lexists, places)):
            return None
        number += 1


def before(path: Path, part: Part) -> Iterator[Part]:
    """Yield the files that are older than ``part``, the latest first; the caller closes them in the end."""
    number = number_of(path, part)
    while number is not None:
        older = opened_old(path, number + 1)
        if older is None:
            return
        if part.is_at(next(old(path, number))) or number_of(path, part) == number:
            yield older
            part, number = older, number + 1
            continue
        older.close()  # all have got other numbers meanwhile
        number = number_of(path, part)


def after(path: Path, part: Part) -> Part | None:
    """Return the file that comes after ``part``, or None if that is still the latest. Raises OSError."""
    for _ in range(TRIES):
        number = number_of(path, part)
        if number == 0:
            return None
        wanted = _oldest_since(path, part.changed()) if number is None else number - 1
        try:
            newer = opened_old(path, wanted)
        except FileNotFoundError:
            newer = None
        if newer is None and wanted == 0:
            return None  # it will come
        if newer is not None:
            if number_of(path, part) == number:
                return newer
            newer.close()
    return Part(path)


def _oldest_since(path: Path, changed: int) -> int:
    """Return the number of the oldest file that was written after ``changed``, in nanoseconds; at least 0."""
    number = 0
    while True:
        for place in old(path, number + 1):
            with contextlib.suppress(OSError):
                if os.stat(place).st_mtime_ns > changed:
                    break
        else:
            return number
        number += 1
