"""Calls functions of the C library that Python has no name for."""

import _ctypes  # the package around it would cost the daemon a megabyte


def call(name: str, *arguments: int) -> int:
    """Return what the function ``name`` returns. Raises OSError if there is none."""
    function = _ctypes.dlsym(_ctypes.dlopen(None, 0), name)  # type: ignore[arg-type]
    return int(_ctypes.call_function(function, arguments))
