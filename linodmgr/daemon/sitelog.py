"""The file that a site's output goes into: open for a burst of lines only, and put aside when it is full."""

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path

from linodmgr.daemon import rotation

log = logging.getLogger(__name__)

MAX_BYTES = 10_000_000
KEEP = 5
LONGEST_LINE = 256_000_000  # bytes; a longer one, and longer than all that is kept, is cut
NEWLINE = 10
NOT_A_FILE = "it is not a file"
NO_LINK = "it is a symbolic link"
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class SiteLog:
    """One file, which belongs to the daemon's user and the site's group.

    Positions are bytes ever written since the daemon began, whatever was put aside meanwhile.
    """

    def __init__(self, path: Path, end: int = 0) -> None:
        """``end`` is where an earlier daemon had come to."""
        self.path = path
        self.gid = os.getegid()
        self.max_bytes = MAX_BYTES  # until the site is known
        self.keep = KEEP
        self.is_inside = False  # a line has begun and not ended
        self.end = end
        self.files: tuple[tuple[int, int], ...] = ()  # inode, and where it begins; the latest first
        self._size = 0  # of the file that is open
        self._full = 0
        self._file = -1

    @property
    def inode(self) -> int:
        """Which file it is that is open."""
        return self.files[0][0]

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self._size

    def open(self) -> None:
        """Make it possible to append. Raises OSError."""
        if self._file >= 0:
            return
        file = _opened(self.path)
        try:
            found = self._own(file)
            size = found.st_size
            self.is_inside = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        except OSError:
            os.close(file)
            raise
        if not self.files and not self.end:
            self.end = size
        before = [(inode, begin) for inode, begin in self.files if inode != found.st_ino]
        self.files = ((found.st_ino, self.end - size), *before[:1])
        self._file, self._size = file, size
        self._full = self.max_bytes

    def close(self) -> None:
        """Be open no longer: people may move the file away."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def make_room(self) -> bool:
        """Put a full file aside, between two lines; return whether that was done. Raises OSError."""
        longest = max(self.max_bytes * (self.keep + 1), LONGEST_LINE)
        if self._size < (longest if self.is_inside else max(self._full, 1)):
            return False
        if self.is_inside and self._size >= longest:
            log.warning("%s: a line of more than %d MB is cut", self.path.stem, longest // 1_000_000)
        self.close()
        try:
            rotation.rotate(self.path, self.keep)
        except OSError as error:
            log.warning("%s: cannot put its full log aside: %s", self.path.stem, error.strerror)
            self.open()
            self._full = self._size + self.max_bytes  # not again at once
            return False
        self.open()
        return True

    def portion(self, text: memoryview, begin: int) -> int:
        """Return up to where ``text`` from ``begin`` on goes into this file: the end of a line."""
        room = max(self._full - self._size, 1)
        if len(text) - begin < room:
            return len(text)
        full = begin + room - 1
        newline = bytes(text[full:]).find(b"\n")
        return len(text) if newline < 0 else full + newline + 1

    def append(self, text: memoryview, *, whole: bool = False) -> tuple[int, str]:
        """Return how much of ``text`` was written, and why that is not all.

        If it is not, it ends with a line, or nothing was written; ``whole``: rather nothing than a part.
        """
        before, was_inside, written = self._size, self.is_inside, 0
        reason = ""
        try:
            while written < len(text):
                written += os.write(self._file, text[written:])
        except OSError as error:
            reason = reason_of(error)
            written = 0 if whole else bytes(text[:written]).rfind(b"\n") + 1
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, before + written)
        self._size += written
        self.end += written
        self.is_inside = text[written - 1] != NEWLINE if written else was_inside
        return written, reason

    def _own(self, file: int) -> os.stat_result:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, NOT_A_FILE)
        os.set_blocking(file, True)
        if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (0, self.gid):
            os.fchown(file, 0, self.gid)
        if stat.S_IMODE(found.st_mode) != 0o640:
            os.fchmod(file, 0o640)
        return found


def _opened(path: Path) -> int:
    try:
        return os.open(path, _FLAGS, 0o640)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(error.errno, NO_LINK) from error
        if error.errno == errno.ENXIO:  # a socket
            raise OSError(error.errno, NOT_A_FILE) from error
        raise


def reason_of(error: OSError) -> str:
    """Return why something could not be done, in words.

    >>> reason_of(OSError(errno.ENOSPC, "No space left on device"))
    'no space left on device'
    """
    return (error.strerror or str(error)).lower()
