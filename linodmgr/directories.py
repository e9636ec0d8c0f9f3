"""Makes the directories that linodmgr works in, or checks that nobody else can put anything into them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from linodmgr.errors import ConfigError, LinodmgrError
from linodmgr.reading import refuse_unsafe


def own(path: Path, mode: int) -> None:
    """Make ``path`` with exactly ``mode``, or check that it is a directory of ours that others cannot write.

    What is there already gets the bits of ``mode`` that it lacks. As root nobody else may be able to
    put another one in its place. Raises LinodmgrError.
    """
    try:
        for parent in reversed([path, *_missing(path)]):
            _make(parent, mode if parent == path else 0o755)
        found = path.lstat()
    except OSError as error:
        raise LinodmgrError(f"cannot make directory {str(path)!r}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise LinodmgrError(f"cannot use {str(path)!r}: it is not a directory")
    if found.st_uid != os.geteuid():
        raise LinodmgrError(
            f"cannot use directory {str(path)!r}: it belongs to uid {found.st_uid}, not to us"
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise LinodmgrError(
            f"cannot use directory {str(path)!r}: others may write into it: chmod go-w {path}"
        )
    if fault := unsafe(path):
        raise LinodmgrError(f"cannot use directory {str(path)!r}: it {fault}")
    if mode & ~found.st_mode:
        path.chmod(stat.S_IMODE(found.st_mode) | mode)


def unsafe(path: Path) -> str:
    """Return how others than root could replace ``path``, which need not be there; empty: they cannot."""
    if os.geteuid() != 0:
        return ""
    while not os.path.lexists(path):
        path = path.parent
    try:
        refuse_unsafe(path)
    except ConfigError as error:
        return error.problems[0].partition(": ")[2]
    return ""


def shut(path: Path) -> str:
    """Return which directory on the way to ``path``, or itself, other users may not enter; empty if none."""
    for place in reversed([path, *path.parents]):
        try:
            if not place.stat().st_mode & stat.S_IXOTH:
                return str(place)
        except OSError:  # not there yet: it will be made
            break
    return ""


def _missing(path: Path) -> Iterator[Path]:
    for parent in path.parents:
        if parent.exists():
            return
        yield parent


def _make(path: Path, mode: int) -> None:
    """Make one directory, whatever the umask."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    path.chmod(mode)
