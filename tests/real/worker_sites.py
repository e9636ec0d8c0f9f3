"""Sites whose manage.py is one of tests/workers, and how sites are written in sites.toml."""

import json
import os
import pwd
import sys
from pathlib import Path

from tests.real.django_sites import write_python

WORKERS = Path(__file__).parents[1] / "workers"
QUICK = {"settle": 0.2, "good_run": 0.5, "backoff_max": 2, "stop_timeout": 5}
OURSELVES = pwd.getpwuid(os.geteuid()).pw_name


def make_worker(directory: Path, worker: str, python: Path | str = sys.executable) -> Path:
    """Return ``directory``, now a site whose manage.py is ``tests/workers/WORKER.py``."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    manage = directory / "manage.py"
    manage.write_text((WORKERS / f"{worker}.py").read_text())
    manage.chmod(0o644)
    write_python(directory / "env" / "bin" / "python", python)
    return directory


def site(directory: Path | str, **keys: object) -> str:
    """Return a [[site]] for sites.toml; it belongs to ourselves unless ``keys`` say otherwise.

    Deaths and stops are quick, so that tests are.
    """
    table = {"directory": str(directory), "user": OURSELVES, **QUICK, **keys}
    return "[[site]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
