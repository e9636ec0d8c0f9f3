"""``python -m linodmgr.daemon``: what ``linodmgr start`` executes."""

import os
import sys
from typing import cast


def run() -> int:
    """Run the daemon and return its exit code."""
    # asyncio does without TLS where Python has none. Nothing here speaks TLS, and OpenSSL
    # would take more than 4 MB of a daemon that lives for months.
    cast(dict[str, object], sys.modules).setdefault("ssl", None)
    from linodmgr.daemon.main import main

    status = main(sys.argv[1:])
    try:
        if sys.stderr is not None:  # as it is for who closed it
            sys.stderr.flush()
    except OSError:  # a full disk under our log; Python would end with 120 for it
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(run())
