"""Real Lino sites for tests: virtualenvs from PyPI and prepared projects, kept in a cache."""

import os
import shutil
import sys
from pathlib import Path

from tests.cache import kept, run
from tests.real.lino_sources import KINDS


def public_python() -> str:
    """Return a Python that every user may run: this one, or Debian's where this one is private."""
    own = os.path.realpath(os.path.join(sys.base_prefix, "bin", "python3"))
    public = all(parent.stat().st_mode & 0o001 for parent in Path(own).parents)
    return own if public or os.geteuid() != 0 else "/usr/bin/python3"


def python_version(python: str) -> tuple[int, int]:
    """Return the major and minor version of ``python``."""
    major, minor = run([python, "-c", "import sys; print(*sys.version_info[:2])"], cwd=Path("/")).split()
    return int(major), int(minor)


def lino_venv(kind: str) -> Path:
    """Return a virtualenv with Lino of ``kind`` ("21", "26" or "25-channels"), made if there is none."""
    python = public_python()
    version = python_version(python)
    wanted = KINDS[kind].install(version)

    def make(place: Path) -> None:
        run([python, "-m", "venv", str(place)], cwd=place.parent)
        run([str(place / "bin" / "pip"), "install", "--quiet", *wanted], cwd=place.parent)

    return kept(f"lino-{kind}-{version[0]}.{version[1]}", [python, *wanted], make)


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
        run([str(venv / "bin" / "python"), "manage.py", "prep", "--noinput"], cwd=place / "project")

    prepared = kept(f"prepared-{kind}", [str(venv), *files, *files.values()], prepare)
    shutil.copytree(prepared / "project", directory, dirs_exist_ok=True)
    (directory / "env").symlink_to(venv)
    if user is not None:
        for path in (directory, *directory.rglob("*")):
            shutil.chown(path, user, user) if not path.is_symlink() else None
    return directory
