"""Gives back to the system what the start has needed and nothing needs any more."""

import contextlib
import gc

from linodmgr.daemon import libc


def give_back() -> None:
    """Collect what is garbage and return free memory, where the C library can: malloc_trim(3)."""
    gc.collect()
    with contextlib.suppress(OSError):  # not glibc
        libc.call("malloc_trim", 0)
