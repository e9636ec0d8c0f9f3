"""One log file that grows and may be cut or replaced: its last lines, and what is new in it."""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from linodmgr.cli.tables import escaped
from linodmgr.errors import LinodmgrError

BLOCK = 65536  # bytes read at once
LINE_LIMIT = 65536  # bytes after which a line without an end is shown all the same


class LogFile:
    """Reads bytes; lines come without their newline."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError."""
        self._path = path
        self._file = io.FileIO(path)
        self._rest = b""

    def last(self, count: int, *, unfinished: bool) -> list[bytes]:
        """Return the last ``count`` lines; ``news`` goes on after them.

        ``unfinished``: a last line without a newline counts too; else ``news`` brings it when it is whole.
        """
        end = position = self._file.seek(0, os.SEEK_END)
        blocks: list[bytes] = []
        newlines = 0
        while position > 0 and newlines <= count:
            start = max(0, position - BLOCK)
            block = os.pread(self._file.fileno(), position - start, start)
            blocks.insert(0, block)
            newlines += block.count(b"\n")
            position = start
        self._file.seek(end)
        *lines, self._rest = b"".join(blocks).split(b"\n")
        if unfinished and self._rest:
            lines.append(self._rest)
            self._rest = b""
        return lines[max(0, len(lines) - count) :]

    def begin_at(self, position: int) -> None:
        """Let ``news`` bring what stands from ``position`` (bytes) on."""
        self._file.seek(position)

    def rest(self) -> list[bytes]:
        """Return the unfinished last line, if there is one."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

    def news(self) -> list[bytes]:
        """Return the whole lines that have been written since; follows the path to a new file.

        Raises LinodmgrError if that cannot be read.
        """
        lines = self._grown()
        try:
            if os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno())):
                return lines
            new = io.FileIO(self._path)
        except FileNotFoundError:
            return lines
        except OSError as error:
            raise unreadable(self._path, error) from error
        lines += self._grown()  # What came between the first look and the replacement.
        self._file.close()
        lines += [self._rest] if self._rest else []
        self._rest = b""
        self._file = new
        return lines + self._grown()

    def _grown(self) -> list[bytes]:
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""
        lines: list[bytes] = []
        while chunk := self._file.read(BLOCK):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            lines += whole
            if len(self._rest) > LINE_LIMIT:
                lines.append(self._rest)
                self._rest = b""
        return lines


def opened(path: Path) -> LogFile:
    """Return the log at ``path``. Raises LinodmgrError."""
    try:
        return LogFile(path)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> LinodmgrError:
    """Return why ``path`` cannot be read, in our words."""
    if isinstance(error, PermissionError):
        return LinodmgrError(f"cannot read {path}: no permission: become root")
    return LinodmgrError(f"cannot read {path}: {(error.strerror or str(error)).lower()}")


def show(lines: Sequence[bytes], label: str = "") -> None:
    """Print ``lines`` of a log: made harmless on a terminal, as they were written into a pipe."""
    if not lines:
        return
    if sys.stdout.isatty():
        label = click.style(label, fg="cyan") if label else label
        text = "".join(f"{label}{escaped(_text(line))}\n" for line in lines)
        click.echo(text, nl=False)
    else:
        start = label.encode()
        sys.stdout.flush()
        sys.stdout.buffer.write(b"".join(start + line + b"\n" for line in lines))
        sys.stdout.buffer.flush()


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
