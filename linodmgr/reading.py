"""A configuration file → its table. Read once, bounded, and as root only where nobody else may write."""

import ast
import importlib
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

from linodmgr.errors import ConfigError

SIZE_LIMIT = 1024 * 1024  # bytes
LINKS_LIMIT = 40  # symbolic links on one path, as in path_resolution(7)

_WORDS = {  # for what the parser says
    "invalid value": "is no value: a text needs quotes",
    "invalid statement": "is neither KEY = VALUE nor [TABLE]",
    "cannot overwrite a value": "sets what is set already",
    "unclosed array": "the closing bracket of a list is missing",
}
_WORDS_OF_TABLES = {  # the parser names the table as a tuple
    "cannot declare": "stands twice",
    "cannot redefine namespace": "is written in two ways",
    "cannot mutate immutable namespace": "is closed: nothing can be added to it",
}
_ABOUT_TABLE = re.compile(rf"({'|'.join(_WORDS_OF_TABLES)}) (\(.*\))(?: twice)?")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read(path: Path, *, trusted: bool) -> str:
    """Return the text of the file ``path``, read through one descriptor.

    ``trusted``: refuse a file that others than root may write or replace.
    Raises ConfigError; OSError is turned into one.
    """
    if trusted:
        refuse_unsafe(path)
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError([f"{show(path)}: is not a regular file"])
            if trusted and (fault := _fault(status)):
                raise ConfigError([f"{show(path)}: {fault}"])
            content = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError([f"{show(path)}: cannot be read: {why(error)}"]) from error
    if len(content) > SIZE_LIMIT:
        raise ConfigError([f"{show(path)}: is larger than 1 MiB"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(content[: error.start].decode("utf-8-sig"))
        raise ConfigError([f"{show(path)}: line {line}, column {column}: is not UTF-8"]) from error


def parse(text: str, path: Path) -> dict[str, Any]:
    """Return the TOML table in ``text``. Raises ConfigError naming the file ``path``, line and column."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        table: dict[str, Any] = toml.loads(text)
    except RecursionError as error:
        raise ConfigError([f"{show(path)}: is nested too deeply"]) from error
    except ValueError as error:  # also a number of thousands of digits, with no position
        raise ConfigError([f"{show(path)}: {_where(str(error), text)}"]) from error
    return table


def refuse_unsafe(path: Path) -> None:
    """Raise ConfigError if others than root may replace the file or a directory or link on its way.

    A sticky directory such as /tmp is safe as long as what is looked up in it belongs to root.
    """
    pending = _parts(os.path.abspath(path))
    here, links = "/", 0
    while True:
        try:
            status = os.lstat(here)
        except OSError as error:
            raise ConfigError([f"{show(path)}: cannot be read: {why(error)}"]) from error
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if status.st_uid != 0 or links > LINKS_LIMIT:
                raise ConfigError(
                    [f"{show(path)}: is reached through a link that root did not make: {here!r}"]
                )
            target = os.readlink(here)
            here = "/" if target.startswith("/") else os.path.dirname(here)
            pending = _parts(target) + pending
        elif stat.S_ISDIR(status.st_mode) and (fault := _fault(status)):
            raise ConfigError([f"{show(path)}: lies in {here!r}, which {fault}"])
        if not pending:
            return
        name = pending.pop(0)
        here = os.path.dirname(here) if name == ".." else os.path.join(here, name)


def show(path: Path) -> str:
    """Return ``path`` as text of one line."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def why(error: OSError) -> str:
    """Return the reason of ``error`` in words."""
    return (error.strerror or "unknown reason").lower()


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _fault(status: os.stat_result) -> str:
    """Return what is unsafe about a file or directory in words, empty if nothing."""
    if status.st_uid != 0:
        return f"belongs to the user with uid {status.st_uid}: it must belong to root"
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & _OTHERS_WRITE and not sticky:
        return "others than root may write: chmod go-w"
    return ""


def _where(message: str, text: str) -> str:
    """Return the parser's ``message`` with the position in front, in lower case."""
    reason, _, at = message.partition(" (at ")
    reason = " ".join(reason.split())
    reason = reason[:1].lower() + reason[1:]
    if not at:
        return "holds a number that is too long"
    if at.startswith("end"):
        line, column = _position(text)
        if reason == "invalid value":
            reason = "a value or a closing bracket is missing"
        return f"line {line}, column {column}: {_worded(reason)}"
    return f"{at.rstrip(')')}: {_worded(reason)}"


def _worded(reason: str) -> str:
    """Return what the parser said in our words, if we have some.

    >>> _worded("cannot declare ('defaults', 'a b') twice")
    "[defaults.'a b'] stands twice"
    """
    if about := _ABOUT_TABLE.fullmatch(reason):
        keys = (key if _BARE_KEY.fullmatch(key) else repr(key) for key in ast.literal_eval(about[2]))
        return f"[{'.'.join(keys)}] {_WORDS_OF_TABLES[about[1]]}"
    return _WORDS.get(reason, reason)


def _position(text: str) -> tuple[int, int]:
    """Return line and column, counted from one, of what follows ``text``."""
    return text.count("\n") + 1, len(text) - text.rfind("\n")
