"""Ends a process together with its process group."""

import os
import signal

from linodmgr.daemon import kin


def end_group(found: kin.Kin) -> bool:
    """Send SIGKILL to the process group of a process; return whether there was anybody in it.

    Whoever forks all the time cannot get away from this, as it can from a signal to the one that has forked.
    No group is in two sessions, and what a worker starts is in sessions that begin with it.
    """
    if found.session in (0, os.getsid(0)):
        return False
    try:
        os.killpg(found.group, signal.SIGKILL)
    except OSError:
        return False
    return True
