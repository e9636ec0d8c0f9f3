"""The time stamp in front of each line of a log: RFC 3339, local time, milliseconds, offset, one space."""

import re
import time
from datetime import datetime

LENGTH = 30  # bytes
_FORM = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d "
STAMP = re.compile(_FORM)
_AT_LINE_START = re.compile(rb"^" + _FORM, re.MULTILINE)


class Clock:
    """Makes stamps; what is the same for a whole second is computed once."""

    def __init__(self) -> None:
        self._second = -1
        self._until_second = b""
        self._offset = b""

    def stamp(self, instant: float) -> bytes:
        """Return the stamp of ``instant``, in seconds since the epoch.

        >>> stamp = Clock().stamp(1.0625)
        >>> len(stamp) == LENGTH and instant_of(stamp)
        1.062
        """
        second = int(instant)
        if second != self._second:
            self._second = second
            local = time.localtime(second)
            self._until_second = time.strftime("%Y-%m-%dT%H:%M:%S", local).encode()
            minutes = local.tm_gmtoff // 60
            sign = "-" if minutes < 0 else "+"
            self._offset = f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02} ".encode()
        return b"%s.%03d%s" % (self._until_second, int((instant - second) * 1000), self._offset)


def stamped(chunk: bytes, stamp: bytes, *, inside: bool) -> bytes | memoryview:
    r"""Return ``chunk`` with ``stamp`` in front of each line that begins in it.

    ``inside``: it goes on with a line that has begun already.

    >>> bytes(stamped(b"a\nb\n", b"now ", inside=False))
    b'now a\nnow b\n'
    >>> bytes(stamped(b"a\nb", b"now ", inside=True))
    b'a\nnow b'
    """
    text = chunk.replace(b"\n", b"\n" + stamp)
    if chunk and not inside:
        text = stamp + text
    return memoryview(text)[: len(text) - len(stamp)] if chunk.endswith(b"\n") else text


def begun(text: bytes | memoryview, *, inside: bool) -> int:
    r"""Return how many lines begin in ``text``, which goes on with a line if ``inside``.

    >>> begun(b"a\nb\n", inside=False), begun(b"a\nb", inside=True)
    (2, 1)
    """
    whole = bytes(text)
    return whole.count(b"\n") + (not inside) - whole.endswith(b"\n") if whole else 0


def without(text: bytes) -> bytes:
    r"""Return ``text`` without the stamps of its lines.

    >>> without(b"2026-11-24T11:45:03.123+01:00 a\nb\n")
    b'a\nb\n'
    """
    return _AT_LINE_START.sub(b"", text)


def without_from(text: bytes, begin: int) -> bytes:
    r"""Return what stands in ``text`` from ``begin`` on, without stamps, also if that is inside one.

    >>> without_from(b"\n2026-11-24T11:45:03.123+01:00 a\n", 5)
    b'a\n'
    """
    for match in _AT_LINE_START.finditer(text, 0, begin + LENGTH):
        if match.start() < begin < match.end():
            begin = match.end()
    rest = text[begin:]
    if begin == 0 or text[begin - 1 : begin] == b"\n":
        return without(rest)
    first, newline, others = rest.partition(b"\n")
    return first + newline + without(others)


def instant_of(line: bytes) -> float | None:
    """Return when ``line`` was written, in seconds since the epoch; None if it has no stamp.

    >>> instant_of(b"1970-01-01T01:00:01.500+01:00 hello")
    1.5
    """
    if not STAMP.match(line):
        return None
    try:
        return datetime.fromisoformat(line[: LENGTH - 1].decode()).timestamp()
    except ValueError:  # such as a month 13
        return None
