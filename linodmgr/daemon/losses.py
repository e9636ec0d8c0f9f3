"""How much of a site's output was lost: it is known to the next daemon, too, however this one ends."""

import contextlib
import os
from pathlib import Path

LIMIT = 1024  # bytes of what is believed
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Losses:
    """The lost bytes of one site, kept in a file of the runtime directory from the first one on."""

    def __init__(self, path: Path) -> None:
        self.lost = 0  # bytes
        self.unsaid = 0  # of these, those that the log does not tell of
        self.why = ""
        self._path = path
        with contextlib.suppress(OSError, ValueError):
            self._read()

    def add(self, count: int, reason: str) -> None:
        """Know that so many bytes more were lost."""
        self.lost += count
        self.unsaid += count
        self.why = reason
        self._store()

    def say(self) -> None:
        """Know that the log tells of all."""
        self.unsaid = 0
        self._store()

    def forget(self) -> None:
        """Know nothing any more, unless there is something to be said."""
        if self.lost and not self.unsaid:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _store(self) -> None:
        text = f"{self.lost} {self.unsaid} {self.why[:200]}\n".encode().ljust(256)
        with contextlib.suppress(OSError):  # a full disk here, too
            file = os.open(self._path, _WRITE, 0o600)
            try:
                os.pwrite(file, text, 0)
            finally:
                os.close(file)

    def _read(self) -> None:
        with open(os.open(self._path, _READ), "rb") as file:
            lost, unsaid, *why = file.read(LIMIT).decode().split(maxsplit=2)
        if int(lost) >= int(unsaid) >= 0:
            self.lost, self.unsaid, self.why = int(lost), int(unsaid), "".join(why).strip()
