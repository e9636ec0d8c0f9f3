"""Ends a process together with its process group."""

import contextlib
import os
import signal

from linodmgr.daemon import kin


def end_group(found: kin.Kin) -> None:
    """Send SIGKILL to those in the process group of a process whom we may signal.

    Whoever forks all the time cannot get away from this, as it can from a signal to the one that has forked.
    No group is in two sessions, and what a worker starts is in sessions that begin with it.
    """
    if found.session not in (0, os.getsid(0)):
        with contextlib.suppress(OSError):
            os.killpg(found.group, signal.SIGKILL)


class Owners:
    """Whose the process groups are that a pass over all processes has come by, and the pass before it.

    Root's script may run a part of itself as the user of a site, who can give that the mark of a worker:
    the others in its group are none of ours.
    """

    def __init__(self) -> None:
        self._before: dict[int, set[int]] | None = None  # by group; None: there was no pass
        self._now: dict[int, set[int]] = {}

    def note(self, found: kin.Kin) -> None:
        """Know of one process."""
        self._now.setdefault(found.group, set()).add(kin.owner(found.pid))

    def next_pass(self) -> None:
        """Know that a pass is over."""
        self._before, self._now = self._now, {}

    def forget(self) -> None:
        """Know nothing any more."""
        self._before, self._now = None, {}

    def is_of_one(self, group: int, *, is_strict: bool) -> bool:
        """Whether a process group has been seen to belong to one user, or is younger than the last pass.

        ``is_strict``: that is not enough.
        """
        if self._before is None or (is_strict and group not in self._before):
            return False
        return len(self._before.get(group, set()) | self._now.get(group, set())) <= 1
