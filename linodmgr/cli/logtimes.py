"""Instants in logs: those that lines begin with, and those that people ask for."""

import re
import time
from datetime import datetime

from linodmgr import stamps
from linodmgr.errors import UsageError

_DAEMONS = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")  # what the daemon's own lines begin with
_AGO = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(s|min|m|h|d)")
_SECONDS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def instant_of(line: bytes) -> float | None:
    """Return when ``line`` was written, in seconds since the epoch; None if it does not begin with that."""
    if _DAEMONS.match(line):
        try:
            return datetime.strptime(line[:23].decode(), "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
        except ValueError:  # such as a month 13
            return None
    return stamps.instant_of(line)


def asked(text: str) -> float:
    """Return the instant that people mean, in seconds since the epoch. Raises UsageError.

    >>> round(time.time() - asked("2h"))
    7200
    >>> datetime.fromtimestamp(asked("2026-11-24 10:00")).isoformat()
    '2026-11-24T10:00:00'
    """
    if match := _AGO.fullmatch(text.strip()):
        return time.time() - float(match[1]) * _SECONDS[match[2]]
    try:
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        example = "'2h', '30s' or '2026-11-24 10:00'"
        raise UsageError(f"cannot show lines since {text!r}: say how long ago or when: {example}") from None
