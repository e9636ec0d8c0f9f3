"""A terminal of a given size for a command, and what a person would read on it."""

import errno
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    columns: int,
    watch: Callable[[str], object] = lambda _said: None,
) -> tuple[int, str]:
    """Return the exit code of a command and all that it wrote to its terminal, colours and all.

    ``watch`` is called with all that it has written so far whenever that is more.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {key: value for key, value in environment.items() if key not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        arguments,
        env={**kept, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    try:
        while chunk := _read(ours):
            said += chunk
            watch(said.decode(errors="replace"))
    finally:
        os.close(ours)
        code = process.wait()
    return code, said.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError as error:
        if error.errno != errno.EIO:  # EIO: nobody has the other end any more
            raise
        return b""


def lines(said: str) -> list[str]:
    """Return the lines that ``said`` leaves on the screen, without colours."""
    return [line.rstrip() for line in CONTROLS.sub("", said).replace("\r\n", "\n").splitlines()]
