"""Instants as people's programs read them: RFC 3339, UTC."""

from datetime import datetime, timezone


def rfc3339(instant: float) -> str:
    """Return seconds since the epoch as text, in whole seconds.

    >>> rfc3339(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(instant, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def maybe(instant: float | None) -> str | None:
    """Return the same, and nothing of nothing."""
    return None if instant is None else rfc3339(instant)
