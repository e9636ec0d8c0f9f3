"""What tests make once and keep between runs: ``LINODMGR_TEST_CACHE``, else a cache of this user.

It lies outside the checkout and may be read by every user, so that sites of several users can
share it: /var/cache/linodmgr-tests for root, else under ~/.cache.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

COMPLETE = ".complete"
OUTPUT_SHOWN = 4000  # characters of what a command that failed has printed


def cache() -> Path:
    """Return the cache's directory, which is there and may be entered by every user."""
    chosen = os.environ.get("LINODMGR_TEST_CACHE")
    default = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    place = Path(chosen) if chosen else default / "linodmgr-tests"
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)
    return place


def kept(name: str, contents: list[str], make: Callable[[Path], None]) -> Path:
    """Return the cache's directory for ``contents``, made by ``make`` if it was never completed.

    A virtualenv cannot be moved, so it is built in place, and a stamp says that it is complete.
    """
    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()[:12]
    place = cache() / f"{name}-{digest}"
    with alone(place.with_name(f".{place.name}.lock")):
        if not (place / COMPLETE).exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            place.chmod(0o755)
            make(place)
            (place / COMPLETE).touch()
    return place


def run(command: list[str], cwd: Path) -> str:
    """Return what ``command`` prints; its last words are told if it fails."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("DJANGO_", "PYTHON"))
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        umask=0o022,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-OUTPUT_SHOWN:]}"
    return done.stdout


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Be the only one, of all processes that ask with the same ``lock``; waits for its turn."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
