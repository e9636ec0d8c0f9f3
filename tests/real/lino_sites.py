"""Real Lino sites for tests: virtualenvs from PyPI and prepared projects, kept in a cache.

The cache lies outside the checkout and may be read by every user, so that sites of several
users can share it: ``LINODMGR_TEST_CACHE``, else /var/cache/linodmgr-tests for root, else under ~/.cache.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.lino_sources import KINDS

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


def public_python() -> str:
    """Return a Python that every user may run: this one, or Debian's where this one is private."""
    own = os.path.realpath(os.path.join(sys.base_prefix, "bin", "python3"))
    public = all(parent.stat().st_mode & 0o001 for parent in Path(own).parents)
    return own if public or os.geteuid() != 0 else "/usr/bin/python3"


def python_version(python: str) -> tuple[int, int]:
    """Return the major and minor version of ``python``."""
    major, minor = _run([python, "-c", "import sys; print(*sys.version_info[:2])"], cwd=Path("/")).split()
    return int(major), int(minor)


def lino_venv(kind: str) -> Path:
    """Return a virtualenv with Lino of ``kind`` ("21", "26" or "25-channels"), made if there is none."""
    python = public_python()
    version = python_version(python)
    wanted = KINDS[kind].install(version)

    def make(place: Path) -> None:
        _run([python, "-m", "venv", str(place)], cwd=place.parent)
        _run([str(place / "bin" / "pip"), "install", "--quiet", *wanted], cwd=place.parent)

    return _kept(f"lino-{kind}-{version[0]}.{version[1]}", [python, *wanted], make)


def make_lino_site(kind: str, directory: Path, user: str | None = None) -> Path:
    """Return ``directory``, now a Lino project of ``kind`` after ``manage.py prep``, with an ``env``.

    Its own jobs run every second: one writes a line into ``written``, one raises once there is a
    file ``raise``, one calls sys.exit(0) once there is a file ``exit``. The project belongs to ``user``.
    """
    venv = lino_venv(kind)
    files = KINDS[kind].files

    def prepare(place: Path) -> None:
        for name, text in files.items():
            path = place / "project" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        _run([str(venv / "bin" / "python"), "manage.py", "prep", "--noinput"], cwd=place / "project")

    prepared = _kept(f"prepared-{kind}", [str(venv), *files, *files.values()], prepare)
    shutil.copytree(prepared / "project", directory, dirs_exist_ok=True)
    (directory / "env").symlink_to(venv)
    if user is not None:
        for path in (directory, *directory.rglob("*")):
            shutil.chown(path, user, user) if not path.is_symlink() else None
    return directory


def _kept(name: str, contents: list[str], make: Callable[[Path], None]) -> Path:
    """Return the cache's directory for ``contents``, made by ``make`` if it was never completed.

    A virtualenv cannot be moved, so it is built in place, and a stamp says that it is complete.
    """
    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()[:12]
    place = cache() / f"{name}-{digest}"
    with _alone(place.with_name(f".{place.name}.lock")):
        if not (place / COMPLETE).exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            place.chmod(0o755)
            make(place)
            (place / COMPLETE).touch()
    return place


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str], cwd: Path) -> str:
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
