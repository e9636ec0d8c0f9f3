"""Gives back to the system what the start has needed and nothing needs any more."""

import _ctypes  # the package around it would cost more than is gained
import gc


def give_back() -> None:
    """Collect what is garbage and return free memory, where the C library can: malloc_trim(3)."""
    gc.collect()
    try:
        trim = _ctypes.dlsym(_ctypes.dlopen(None, 0), "malloc_trim")  # type: ignore[arg-type]
    except OSError:  # not glibc
        return
    _ctypes.call_function(trim, (0,))
