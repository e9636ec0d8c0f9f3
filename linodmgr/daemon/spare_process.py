"""Waits on the socket whose number is its argument; then becomes what it is told there, as another user.

A program of its own, run by the daemon's Python as root: standard library only, and little of that.
It answers "go" before it changes the user and executes, and "go ERRNO" if that fails; if nobody listens
any more, because the user has held it up, its output has the reason.
"""

import fcntl
import json
import os
import signal
import socket
import sys
from typing import Any

MOST_GIVEN = 3  # descriptors: two of output, and the lock
NOT_EXECUTED = 127  # as a shell says it


def main() -> None:
    """Become somebody else, or end with the daemon."""
    line = socket.socket(fileno=int(sys.argv[1]))
    size, given, _, _ = socket.recv_fds(line, 4, MOST_GIVEN)
    wanted = int.from_bytes(size, "big")
    text = b""
    while len(text) < wanted:
        more = line.recv(wanted - len(text))
        if not more:
            return
        text += more
    order = json.loads(text)
    line = _place(line, given, order["numbers"])
    line.sendall(b"go")
    try:
        _become(order)
    except OSError as error:
        try:
            line.sendall(b" %d" % (error.errno or 0), socket.MSG_NOSIGNAL)
        except OSError:
            os.write(2, f"cannot execute {order['arguments'][0]!r}: {error.strerror}\n".encode("latin-1"))
        os._exit(NOT_EXECUTED)


def _place(line: socket.socket, given: list[int], wanted: list[int]) -> socket.socket:
    """Give the descriptors the numbers that they shall have; return the line, which ends at exec.

    Any of them may have a number that another one wants, so all are moved out of the way first.
    """
    numbers = [line.detach(), *given]
    free = max([2, *wanted, *numbers]) + 1
    number, *moved = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, free) for number in numbers]
    os.closerange(3, free)
    for source, target in zip(moved, wanted, strict=True):
        os.dup2(source, target)
    return socket.socket(fileno=number)


def _become(order: Any) -> None:
    """Execute what ``order`` says. Raises OSError."""
    arguments = [text.encode("latin-1") for text in order["arguments"]]
    environment = {
        name.encode("latin-1"): value.encode("latin-1") for name, value in order["environment"].items()
    }
    # Python ignores two of them, its children must not; the third would not end who is held up.
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.umask(order["umask"])
    os.setgroups(order["groups"])
    os.setresgid(order["group"], order["group"], order["group"])
    os.setresuid(order["user"], order["user"], order["user"])
    os.execve(arguments[0], arguments, environment)


if __name__ == "__main__":
    main()
