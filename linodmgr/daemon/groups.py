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
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(found.group, signal.SIGKILL)
