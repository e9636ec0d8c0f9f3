"""Files that must be whole whatever happens, also after a loss of power."""

import os
from pathlib import Path


def store(path: Path, content: bytes) -> None:
    """Put ``content`` in place of the file ``path``, readable by us alone.

    Raises OSError; then all is as before.
    """
    temporary = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Let the names of new files in ``path`` survive a loss of power."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
