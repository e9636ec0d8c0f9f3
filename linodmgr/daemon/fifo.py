"""The pipes with names through which workers write, so that the next daemon can go on reading."""

import array
import contextlib
import errno
import fcntl
import os
import stat
import termios
from pathlib import Path

LARGEST = 1024 * 1024  # bytes that a pipe holds, where we may
SMALLEST = 64 * 1024
_OURS = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
_THEIRS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def make(path: Path, uid: int) -> int:
    """Return our end of the pipe at ``path``, which is made if it is not there. Raises OSError.

    It belongs to ``uid``, so that a site's own scripts can open /dev/stderr; other users cannot even
    come to it. What is no such pipe is removed. Being open for reading and writing it never has
    an end of file.
    """
    ours = join(path, uid)
    if ours is not None:
        return ours
    discard(path)
    _mkfifo(path)
    try:
        if uid != os.geteuid():
            os.chown(path, uid, -1, follow_symlinks=False)
        made = join(path, uid)
    except OSError:
        discard(path)
        raise
    if made is None:
        raise OSError(errno.EEXIST, "it is not a pipe of ours")
    return made


def join(path: Path, uid: int) -> int | None:
    """Return our end of the pipe of ``uid`` that is at ``path``, or None if there is no such pipe."""
    try:
        if not stat.S_ISFIFO(os.lstat(path).st_mode):
            return None  # a device must not even be opened
        ours = os.open(path, _OURS)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return None
        raise
    found = os.fstat(ours)
    if not stat.S_ISFIFO(found.st_mode) or found.st_uid != uid or stat.S_IMODE(found.st_mode) != 0o600:
        os.close(ours)
        return None
    widen(ours)
    return ours


def worker_end(path: Path, ours: int) -> int:
    """Return a worker's end of our pipe at ``path``; the caller closes it. Raises OSError.

    It blocks, and it is open for reading, too, so that writing does not break when the daemon dies.
    """
    theirs = os.open(path, _THEIRS)
    if not os.path.samestat(os.fstat(theirs), os.fstat(ours)):
        os.close(theirs)
        raise OSError(errno.ESTALE, "somebody has replaced it")
    return theirs


def widen(end: int) -> None:
    """Let a pipe hold as much as we may: who is not root shares 64 MiB among all pipes."""
    size = LARGEST
    while size >= SMALLEST:
        with contextlib.suppress(OSError):
            if fcntl.fcntl(end, fcntl.F_GETPIPE_SZ) < size:
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, size)
            return
        size //= 2


def holds(end: int) -> int:
    """Return how many bytes a pipe holds at most."""
    return fcntl.fcntl(end, fcntl.F_GETPIPE_SZ)


def waiting(end: int) -> int:
    """Return how many bytes are in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(end, termios.FIONREAD, count)
    return count[0]


def is_at(path: Path, ours: int, uid: int) -> bool:
    """Whether what stands at ``path`` is the pipe whose end ``ours`` is, and it is of ``uid``."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(ours)) and found.st_uid == uid


def discard(path: Path) -> None:
    """Remove what stands at ``path``. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def discard_if_unused(path: Path) -> None:
    """Remove the pipe at ``path`` unless a worker still writes into it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW))
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody has it open for reading, as every worker has
            with contextlib.suppress(OSError):
                os.unlink(path)


def _mkfifo(path: Path) -> None:
    try:
        os.mkfifo(path, 0o600)
    except FileNotFoundError:  # the first of all, or somebody has tidied up
        os.mkdir(path.parent, 0o700)
        os.mkfifo(path, 0o600)
