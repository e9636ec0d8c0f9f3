"""One log, which is put aside when it is full: its last lines, those since an instant, what is new."""

import errno
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from linodmgr.cli import logparts
from linodmgr.cli.logparts import BLOCK, Part
from linodmgr.cli.logtimes import instant_of
from linodmgr.cli.tables import escaped
from linodmgr.errors import LinodmgrError

LINE_LIMIT = 65536  # bytes after which a line without an end is shown all the same


class LogFile:
    """Reads bytes; lines come without their newline."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError."""
        self._path = path
        self._part = Part(path)
        self._rest = b""

    def last(self, count: int, *, unfinished: bool) -> list[bytes]:
        """Return the last ``count`` lines, of older files, too; ``news`` goes on after them.

        ``unfinished``: a last line without a newline counts too; else ``news`` brings it when it is whole.
        """
        lines, self._rest = self._part.last_and_rest(count)
        if unfinished:
            lines += self.rest()
            lines = lines[max(0, len(lines) - count) :]
        with ExitStack() as stack:
            for part in self._older() if len(lines) < count else ():
                stack.callback(part.close)
                lines = part.last(count - len(lines)) + lines
                if len(lines) >= count:
                    break
        return lines[max(0, len(lines) - count) :]

    def since(self, instant: float, *, unfinished: bool) -> Iterator[bytes]:
        """Yield the lines that were written at ``instant`` (seconds since the epoch) or later.

        A line without a time stamp belongs to the one before. ``news`` goes on after them.
        """
        parts = [self._part]
        for part in self._older():
            parts.append(part)
            first = next((at for line in part.lines() if (at := instant_of(line)) is not None), None)
            if first is not None and first < instant:
                break
        is_late = False
        while parts:
            part = parts.pop()
            for line in self._from_the_start() if part is self._part else part.lines():
                if (at := instant_of(line)) is not None:
                    is_late = at >= instant
                if is_late:
                    yield line
            if part is not self._part:
                part.close()
        if unfinished and is_late:
            yield from self.rest()

    def has_times(self) -> bool:
        """Whether its lines have time stamps, as far as one sees at its end."""
        lines = self.last(100, unfinished=True)
        return not lines or any(instant_of(line) is not None for line in lines)

    def begin_at(self, position: int, inode: int = 0) -> None:
        """Let ``news`` bring what stands from ``position`` (bytes) on; ``inode``: in this file."""
        number, found = 0, self._part
        while inode and not found.has_inode(inode):
            number += 1
            older = logparts.opened_old(self._path, number)
            if older is None or older.is_packed:
                return  # it is gone: all that is left is new
            if found is not self._part:
                found.close()
            found = older
        if found is not self._part:
            self._part.close()
            self._part = found
        self._part.file.seek(position)

    def rest(self) -> list[bytes]:
        """Return the unfinished last line, if there is one."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

    def news(self) -> list[bytes]:
        """Return the whole lines that have been written since, in all files that have come meanwhile.

        Raises LinodmgrError if one cannot be read.
        """
        lines = list(self._grown())
        try:
            while newer := logparts.after(self._path, self._part):
                lines += self._grown()  # What came between the first look and the next file.
                lines += self.rest()
                self._part.close()
                self._part = newer
                lines += self._grown()
        except FileNotFoundError:
            return lines
        except OSError as error:
            raise unreadable(self._path, error) from error
        return lines

    def _older(self) -> Iterator[Part]:
        """Yield the files before this one, the latest first. Raises LinodmgrError if one cannot be read."""
        try:
            yield from logparts.before(self._path, self._part)
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _from_the_start(self) -> Iterator[bytes]:
        self._part.file.seek(0)
        self._rest = b""
        return self._grown()

    def _grown(self) -> Iterator[bytes]:
        file = self._part.file
        if not self._part.is_packed and self._part.size() < file.tell():
            file.seek(0)
            self._rest = b""
        self._rest = yield from logparts.split(iter(partial(file.read, BLOCK), b""), self._rest)
        if len(self._rest) > LINE_LIMIT:
            end = whole_characters(self._rest)
            piece, self._rest = self._rest[:end], self._rest[end:]
            yield piece


def whole_characters(text: bytes) -> int:
    r"""Return up to where ``text`` has whole characters of UTF-8, at most three bytes from its end.

    >>> [whole_characters(text) for text in (b"abc", b"caf\xc3", b"caf\xc3\xa9", b"\xff\xff")]
    [3, 3, 5, 2]
    """
    for back in range(1, min(4, len(text)) + 1):
        byte = text[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4 if byte < 0xF8 else 1
            return len(text) - back if length > back else len(text)
    return len(text)


def opened(path: Path) -> LogFile:
    """Return the log at ``path``. Raises LinodmgrError."""
    try:
        return LogFile(path)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> LinodmgrError:
    """Return why ``path`` cannot be read, in our words."""
    if error.errno == errno.ELOOP:
        return LinodmgrError(f"cannot read {path}: it is a symbolic link")
    if isinstance(error, PermissionError):
        return LinodmgrError(f"cannot read {path}: no permission: become root")
    return LinodmgrError(f"cannot read {path}: {(error.strerror or str(error)).lower()}")


def show(lines: Iterable[bytes], label: str = "") -> None:
    """Print ``lines`` of a log, each behind ``label``."""
    show_all((label, line) for line in lines)


def show_all(lines: Iterable[tuple[str, bytes]]) -> None:
    """Print labels and lines: made harmless on a terminal, as they were written into a pipe."""
    is_terminal = sys.stdout.isatty()
    batch: list[bytes] = []
    size = 0
    for label, line in lines:
        if is_terminal:
            start = click.style(label, fg="cyan") if label else ""
            batch.append(f"{start}{escaped(_text(line))}\n".encode(errors="replace"))
        else:
            batch.append(label.encode() + line + b"\n")
        size += len(batch[-1])
        if size >= BLOCK:
            _print(batch, is_terminal)
            batch, size = [], 0
    _print(batch, is_terminal)


def _print(batch: list[bytes], is_terminal: bool) -> None:
    if not batch:
        return
    whole = b"".join(batch)
    if is_terminal:
        click.echo(whole.decode(errors="replace"), nl=False)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(whole)
        sys.stdout.buffer.flush()


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
