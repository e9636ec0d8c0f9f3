"""Tells once if the daemon is of another version than this command."""

import sys

from linodmgr import __version__

_told: set[str] = set()


def compare(version: str, *, is_upgraded: bool = False) -> None:
    """Tell on stderr if ``version``, the daemon's, is not ours; it may not be known.

    ``is_upgraded``: it is what is installed where the daemon comes from.
    """
    if version in {"", __version__} or version in _told:
        return
    _told.add(version)
    advice = "it is installed in another place" if is_upgraded else "linodmgr upgrade"
    print(f"linodmgr: daemon runs {version}, this is {__version__}: {advice}", file=sys.stderr)
