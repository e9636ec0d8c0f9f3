"""Instants of the JSON (RFC 3339 UTC) as people read them, in a site's zone or their own."""

import functools
from datetime import datetime, timezone, tzinfo


def utc_now() -> datetime:
    """Return this moment."""
    return datetime.now(timezone.utc)


def moment(instant: str) -> datetime:
    """Return ``instant`` as a datetime with its zone. Raises ValueError.

    >>> moment("2026-11-23T18:45:01Z").isoformat()
    '2026-11-23T18:45:01+00:00'
    """
    return datetime.fromisoformat(instant.replace("Z", "+00:00"))


def instant(of: datetime) -> str:
    """Return what JSON says of a moment in UTC.

    >>> instant(moment("2026-11-23T18:45:01Z"))
    '2026-11-23T18:45:01Z'
    """
    return of.isoformat().replace("+00:00", "Z")


def in_words(instant: str, zone: str = "", seconds: bool = True) -> str:
    """Return the wall-clock time of ``instant`` in ``zone``; without one that is known, in our own.

    >>> in_words("2026-11-23T18:45:01Z", "Europe/Brussels")
    '2026-11-23 19:45:01'
    >>> in_words("2026-11-23T18:45:01Z", "Europe/Brussels", seconds=False)
    '2026-11-23 19:45'
    """
    return moment(instant).astimezone(_zone(zone)).strftime("%Y-%m-%d %H:%M" + (":%S" if seconds else ""))


@functools.lru_cache
def _zone(name: str) -> tzinfo | None:
    """Return the zone that ``name``, as in the environment variable TZ, means; None for our own."""
    if not name:
        return None
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name.removeprefix(":"))
    except (OSError, ValueError, KeyError):  # a site may have written anything
        return None
