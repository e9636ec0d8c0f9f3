"""The real Lino site of `linodmgr demo --lino`: a virtualenv from PyPI and a prepared database."""

import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from linodmgr.cli.demo_sites import MANAGE, clean_environment, write
from linodmgr.cli.demo_steps import Step, display
from linodmgr.cli.tables import printable
from linodmgr.errors import LinodmgrError

NAME = "lino"
LOG = "lino-setup.log"
TAIL = 15  # lines of output that are shown when a step does not succeed
PACKAGES = (
    "lino==26.10.8",
    "lino-xl==26.10.5",
    "lino-noi==26.9.2",
    "lino-extjs==26.8.0",
    "lino-react==26.10.1",
    "num2words",
)

SETTINGS = """\
from lino_noi.lib.noi.settings import *


class Site(Site):
    title = "Lino site of linodmgr demo"
    languages = "en"
    # The task runner acts as the user robin, who is one of the demo_users.
    demo_fixtures = ["std", "minimal_ledger", "demo_users"]

    def get_plugin_configs(self):
        yield super().get_plugin_configs()
        yield "linod", "use_channels", False  # else it needs Redis


SITE = Site(globals())
SECRET_KEY = "only a demo"
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = "mails"
"""


def make(directory: Path) -> tuple[Path, Path]:
    """Return the project directory and the virtualenv of a Lino site below ``directory``.

    What an earlier demo has done is not done again. Raises LinodmgrError.
    """
    project = directory / NAME
    venv = project / "env"
    write(project / "manage.py", MANAGE)
    write(project / "settings.py", SETTINGS)
    todo = [step for step in steps(venv) if not step.is_done()]
    log = directory / LOG
    tail: deque[str] = deque(maxlen=TAIL)
    try:
        with log.open("w", encoding="utf-8") as file, display(todo) as shown:
            for step in todo:
                shown.begin(step)
                for line in carry_out(step, project, file):
                    tail.append(line)
                    shown.tell(step, line)
                shown.done(step)
    except subprocess.CalledProcessError as error:
        for line in tail:
            click.echo(f"    {line}", err=True)
        raise LinodmgrError(f"cannot make the Lino site: {_in_words(error)}: see {log}") from error
    return project, venv


def _in_words(error: subprocess.CalledProcessError) -> str:
    return f"{' '.join(error.cmd[:4])} ... ended with status {error.returncode}"


def steps(venv: Path) -> list[Step]:
    """Return what makes a Lino site, in order."""
    python = str(venv / "bin" / "python")
    pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off")
    return [
        # Its stamp lies in what it clears, and so does the next one: all three are done again.
        Step("make a virtualenv", (sys.executable, "-m", "venv", "--clear", str(venv)), 1, venv / ".made"),
        Step("install Lino from PyPI", (*pip, *PACKAGES), 190, venv / ".installed"),
        Step("prepare its database", (python, "manage.py", "prep", "--noinput"), 115, venv / ".prepared"),
    ]


def carry_out(step: Step, project: Path, log: IO[str]) -> Iterator[str]:
    """Yield the lines that the command of ``step`` prints; all of them are kept in ``log``.

    Raises CalledProcessError; a command that is interrupted is ended.
    """
    log.write(f"$ {' '.join(step.command)}\n")
    with subprocess.Popen(
        step.command,
        cwd=project,
        env=clean_environment(),
        umask=0o022,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                log.write(line)
                yield printable(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, step.command)
    step.stamp.write_text(" ".join(step.command))
