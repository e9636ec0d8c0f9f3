"""Becomes a command once it is allowed to: ``waiting.py DESCRIPTOR COMMAND…`` waits for a byte there.

So the process that will run the command is there before, with its pid. At the end of the file
instead of a byte it ends itself, and nothing has been run. Standard library only: it is run as a file.
"""

import os
import signal
import sys

NOT_FOUND, NOT_RUN = 127, 126  # what shells say


def main(descriptor: int, command: list[str]) -> int:
    """Return only if the command cannot be run."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not os.read(descriptor, 1):
        return NOT_RUN
    os.close(descriptor)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"linodmgr: cannot run {command[0]!r}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
