"""Makes small plain Django sites for tests, as an admin would find them: manage.py, settings, env, an app."""

import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = (
    "asgiref",
    "django",
    "linodmgr",
    "schedule",
    "sqlparse",
    "typing_extensions",
)  # all that a site imports

MANAGE = """\
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""

SETTINGS = """\
from pathlib import Path

BASE_DIR = Path(__file__).parent.parent
SECRET_KEY = "only for tests"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "linodmgr.linod", "tasks"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = {time_zone!r}
USE_TZ = True
USE_I18N = False
{use_linod}
"""

PYTHON = """\
#!/bin/sh
{exports}exec {python} "$@"
"""


def make_site(
    directory: Path,
    jobs: str,
    use_linod: bool | None = True,
    time_zone: str = "Europe/Brussels",
    settings: str = "",
    python: Path | str = sys.executable,
) -> Path:
    """Return ``directory``, now a Django site whose app ``tasks`` has ``jobs`` as its jobs module.

    ``use_linod`` None leaves the setting out; ``settings`` are more lines of the settings module.
    ``env/bin/python`` runs ``python``, which must see Django; `python_for_all` makes one for other users.
    """
    use = "" if use_linod is None else f"USE_LINOD = {use_linod}"
    texts = {
        "manage.py": MANAGE,
        "project/__init__.py": "",
        "project/settings.py": SETTINGS.format(time_zone=time_zone, use_linod=use) + settings,
        "tasks/__init__.py": "",
        "tasks/jobs.py": jobs,
    }
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_python(directory / "env" / "bin" / "python", python)
    return directory


def write_python(path: Path, python: Path | str, python_path: Path | None = None) -> Path:
    """Return ``path``, now a script that runs ``python``; it costs nothing, unlike a real virtualenv."""
    exports = (
        "" if python_path is None else f"PYTHONPATH={shlex.quote(str(python_path))}\nexport PYTHONPATH\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PYTHON.format(exports=exports, python=shlex.quote(str(python))))
    path.chmod(0o755)
    return path


def python_for_all(directory: Path, python: Path | str = "/usr/bin/python3") -> Path:
    """Return a script in ``directory`` that runs ``python`` with copies of what a site needs.

    Every user may run it if ``directory`` may be entered by every user; the tests' own
    packages may lie where only their owner can read them.
    """
    packages = directory / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    leave_out = shutil.ignore_patterns("__pycache__", "*.mo", "*.po")
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None:
            continue  # typing_extensions is not needed by every Python
        if spec.submodule_search_locations is None:
            shutil.copy(str(spec.origin), packages)
        for source in spec.submodule_search_locations or ():
            shutil.copytree(source, packages / name, ignore=leave_out, dirs_exist_ok=True)
    for path in (packages, *packages.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return write_python(directory / "python", python, packages)
