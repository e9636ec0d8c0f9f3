"""``python -m linodmgr.daemon``: what ``linodmgr start`` executes."""

import os
import sys
from typing import cast


def run() -> int:
    """Run the daemon and return its exit code."""
    # What asyncio and msgspec do without where there is none, and a daemon that lives for months
    # would carry about: nothing here speaks TLS (OpenSSL takes 4 MB), and Python has had since 3.11
    # what is taken from typing_extensions (0.4 MB).
    modules = cast(dict[str, object], sys.modules)
    modules.setdefault("ssl", None)
    if sys.version_info >= (3, 11):
        modules.setdefault("typing_extensions", None)
    from linodmgr.daemon.entry import main

    status = main(sys.argv[1:])
    try:
        if sys.stderr is not None:  # as it is for who closed it
            sys.stderr.flush()
    except OSError:  # a full disk under our log; Python would end with 120 for it
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(run())
