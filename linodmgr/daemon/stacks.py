"""The stacks that a hanging process has written: where in the site's own code it hangs.

Their form is that of Python's faulthandler, which writes what is not ASCII as escapes.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

READ_LIMIT = 512 * 1024  # bytes of a dump
_THREAD = re.compile(r"^(Current thread|Thread) 0x([0-9a-f]{1,16})\b.*\(most recent call first\)")
_FRAME = re.compile(r'^  File "(.{1,4096})", line (\d{1,9}) in (.{1,500})$')
_PYTHON = re.compile(r"/lib/python3[^/]*/(?!(?:site|dist)-packages/)")
_PACKAGES = re.compile(r"^.*/(?:site|dist)-packages/")


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a stack."""

    file: str
    line: str
    function: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a site's own code is: below ``directory``, but not below ``venv``."""

    directory: str
    venv: str
    runner: str  # our own code in the site's process

    def is_own(self, frame: Frame) -> bool:
        """Whether the site's own people have written it."""
        return _is_below(frame.file, self.directory) and not _is_below(frame.file, self.venv)

    def is_foreign(self, frame: Frame) -> bool:
        """Whether it is neither ours nor Python's, so that it may tell something."""
        file = frame.file
        return not (_is_below(file, self.runner) or _PYTHON.search(file) or file.startswith("<"))


def where(text: str, thread: int, place: Place) -> str:
    """Return where the thread hangs, like "tasks/jobs.py:12 fetch"; empty if nobody knows.

    ``thread`` is its number; without it, or without its stack, the thread that heard the signal counts.
    """
    frames = list(_frames(text, thread))
    for fits in (place.is_own, place.is_foreign, lambda _frame: True):
        for frame in frames:
            if fits(frame):
                return f"{_short(frame.file, place)}:{frame.line} {frame.function}"
    return ""


def _frames(text: str, thread: int) -> Iterable[Frame]:
    stacks: dict[int, list[Frame]] = {}
    current: int | None = None
    frames: list[Frame] | None = None
    for line in text.splitlines():
        if match := _THREAD.match(line):
            number = int(match[2], 16)
            frames = stacks[number] = []
            if match[1] == "Current thread":
                current = number
        elif (match := _FRAME.match(line)) and frames is not None:
            frames.append(Frame(match[1], match[2], match[3]))
    if thread in stacks:
        return stacks[thread]
    if current is not None:
        return stacks[current]
    return next(reversed(stacks.values()), [])


def _is_below(file: str, directory: str) -> bool:
    return any(file.startswith(f"{name}/") for name in _names(directory)) if directory else False


def _names(directory: str) -> Iterator[str]:
    yield _escaped(directory)
    yield _escaped(os.path.realpath(directory))


def _escaped(text: str) -> str:
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)


def _short(file: str, place: Place) -> str:
    for name in _names(place.directory):
        if file.startswith(f"{name}/") and not _PACKAGES.search(file):
            return file[len(name) + 1 :]
    return _PACKAGES.sub("", file)
