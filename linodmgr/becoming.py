"""A process of ours that waits to become somebody else's: how it is made, told and heard.

Popen is nothing for a change of user: it waits without end until its child has executed. By then
the child is the user's, who may stop it, or hold up the opening of what it executes.
"""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from linodmgr.launch import Launch

OURSELVES = "/proc/self/exe"  # our Python, also when its files are being replaced


def make(program: Path, output: int = subprocess.DEVNULL) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """Return a process that waits, and the line to it, which ends when it executes or ends.

    ``program``: daemon/spare_process.py; ``output``: what Popen takes for stdout and for stderr.

    Raises OSError.
    """
    ours, its = socket.socketpair()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", program, str(its.fileno())],
            executable=OURSELVES,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={},
            start_new_session=True,
            pass_fds=[its.fileno()],
        )
    except OSError:
        ours.close()
        raise
    finally:
        its.close()
    return process, ours


def tell(line: socket.socket, start: Launch, descriptors: Mapping[int, int]) -> None:
    """Let it become what ``start`` describes. Raises OSError.

    ``descriptors``: those of ours that it is given, by the numbers that they shall have there.
    """
    order = _order(start, list(descriptors))
    size = len(order).to_bytes(4, "big")
    socket.send_fds(line, [size], list(descriptors.values()))
    line.sendall(order)


def failure(answer: bytes) -> int:
    """Return 0 if all that it has answered is that it executes, else the errno that it failed with.

    Raises ChildProcessError if it did not come to that.
    """
    if answer == b"go":  # its last word; then the line closes because it executes
        return 0
    if answer.startswith(b"go "):
        return int(answer[3:])
    raise ChildProcessError(errno.ECHILD, "it ended before it was anybody")


def _order(start: Launch, numbers: list[int]) -> bytes:
    """Return what the process must know, as JSON: bytes of arguments and environment as Latin-1."""
    who = start.identity
    order = {
        "arguments": [os.fsencode(argument).decode("latin-1") for argument in start.arguments],
        "environment": {
            os.fsencode(name).decode("latin-1"): os.fsencode(value).decode("latin-1")
            for name, value in start.environment.items()
        },
        "user": who["user"],
        "group": who["group"],
        "groups": who["extra_groups"],
        "umask": who["umask"],
        "numbers": numbers,
    }
    return msgspec.json.encode(order)
