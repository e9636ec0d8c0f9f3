"""Which sites a person means."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from linodmgr.errors import UsageError


def choose(known: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that ``patterns`` (shell wildcards) stand for, in the order of ``known``.

    No patterns stand for all. Raises UsageError, naming every pattern that no site has.

    >>> choose(["noi", "voga", "weleup"], ["v*", "noi"])
    ['noi', 'voga']
    """
    names = list(known)
    if not patterns:
        return names
    unknown = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]
    if unknown:
        raise UsageError(f"cannot find site {', '.join(map(repr, unknown))}: see the configuration")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
