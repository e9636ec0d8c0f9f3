"""The old files of a log: SITE.log.1 is the latest of them, SITE.log.2.gz the one before, and so on."""

import contextlib
import os
from pathlib import Path

PACKED = ".gz"
FIRST_PACKED = 2  # the latest old one stays as it is: who follows the log may still be reading it


def old(path: Path, number: int, suffix: str = "") -> Path:
    """Return the old file of ``path`` with this number."""
    return path.with_name(f"{path.name}.{number}{suffix}")


def rotate(path: Path, keep: int) -> None:
    """Put the file at ``path`` aside; ``keep`` old ones stay. Raises OSError."""
    count = 0
    while _is_there(path, count + 1):  # an interrupted rotation has left a gap, which is filled
        count += 1
    for number in range(count, 0, -1):
        for suffix in ("", PACKED):
            with contextlib.suppress(FileNotFoundError):
                if number >= keep:
                    os.unlink(old(path, number, suffix))
                else:
                    os.rename(old(path, number, suffix), old(path, number + 1, suffix))
    if keep:
        os.rename(path, old(path, 1))
    else:
        os.unlink(path)


def unpacked(path: Path) -> Path | None:
    """Return the latest old file that is to be packed and is not, or None."""
    number = FIRST_PACKED
    while _is_there(path, number):
        plain, packed = old(path, number), old(path, number, PACKED)
        if os.path.lexists(plain):
            if not os.path.lexists(packed):
                return plain
            with contextlib.suppress(OSError):
                os.unlink(plain)  # we were interrupted between the two steps of `replace`
        number += 1
    return None


def replace(path: Path, plain: int, part: Path) -> bool:
    """Put ``part`` in the place of the old file that is open as ``plain``, if it is still kept.

    It may have got another number meanwhile. Raises OSError.
    """
    number = FIRST_PACKED
    while _is_there(path, number):
        place = old(path, number)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.lstat(place), os.fstat(plain)):
                os.rename(part, old(path, number, PACKED))
                os.unlink(place)
                return True
        number += 1
    return False


def _is_there(path: Path, number: int) -> bool:
    return os.path.lexists(old(path, number)) or os.path.lexists(old(path, number, PACKED))


def size_of(path: Path, inode: int) -> int:
    """Return the length of the file with this inode, the log at ``path`` or an old one; 0: gone."""
    places = [path, *(old(path, number) for number in range(1, 4))]
    for place in places:
        with contextlib.suppress(OSError):
            found = os.lstat(place)
            if found.st_ino == inode:
                return found.st_size
    return 0
