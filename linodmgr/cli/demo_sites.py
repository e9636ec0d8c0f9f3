"""What `linodmgr demo` writes: three small Django sites and the sites.toml that names them."""

import os
from pathlib import Path

MARKER = ".linodmgr-demo"
MARKER_TEXT = (
    "Made by linodmgr demo, which writes its files again at each run. Delete it when you are done.\n"
)
GOOD_RUN = 1  # seconds; short, like all delays here: a demo shall not bore
SITES = ("visits", "mails", "moody")

MANAGE = """\
#!/usr/bin/env python
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""

SETTINGS = """\
from pathlib import Path

HERE = Path(__file__).parent
SECRET_KEY = "only a demo"
INSTALLED_APPS = ["linodmgr.linod", "{app}"]
USE_LINOD = True
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "db.sqlite3"}}}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = HERE / "mails"
USE_TZ = False
TIME_ZONE = None  # the machine's
"""

VISITS_MODELS = '''\
from django.db import models


class Visit(models.Model):
    """Somebody came by."""

    when = models.DateTimeField(auto_now_add=True)
'''

VISITS_JOBS = '''\
import random

from counter.models import Visit

from linodmgr.linod import schedule_daily, schedule_often


@schedule_often(every=3)
def count_visits():
    """Count the visitors of the last three seconds."""
    Visit.objects.bulk_create(Visit() for _ in range(random.randint(1, 9)))
    print(Visit.objects.count(), "visits so far", flush=True)


@schedule_daily(at="04:00")
def forget_visits():
    """Start each day with an empty table."""
    print(Visit.objects.all().delete()[0], "visits forgotten", flush=True)
'''

MAILS_JOBS = '''\
from django.core.mail import send_mail

from linodmgr.linod import schedule_daily, schedule_often


@schedule_often(every=5)
def send_pending_emails_often():
    """Send a mail; settings.py says that it becomes a file in the directory mails."""
    send_mail("News", "Nothing is new.", "demo@example.com", ["you@example.com"])
    print("1 mail sent", flush=True)


@schedule_daily(at="20:00")
def checkdata():
    """Look after the data, once a day."""
    print("all is well", flush=True)
'''

MOODY_JOBS = '''\
import os
import random

from linodmgr.linod import schedule_often


@schedule_often(every=2)
def roll_the_dice():
    """End the whole process at each eight, on average: linodmgr starts it again."""
    rolled = random.randint(1, 8)
    print("rolled", rolled, flush=True)
    if rolled == 8:
        print("this ends the process", flush=True)
        os._exit(8)
'''

SITE_FILES = {
    "visits": {"counter/models.py": VISITS_MODELS, "counter/jobs.py": VISITS_JOBS},
    "mails": {"newsletter/jobs.py": MAILS_JOBS},
    "moody": {"dice/jobs.py": MOODY_JOBS},
}

DAEMON_TOML = """\
# Written by `linodmgr demo`: a daemon of its own, away from any real one.

[daemon]
runtime_dir = {runtime}
state_dir = {state}
log_dir = {log}
"""

SITE_TOML = """
[[site]]
directory = {directory}
venv = {venv}
user = {user}
good_run = {good_run}
backoff_max = "5s"
stop_timeout = "5s"
"""


def write_sites(directory: Path) -> None:
    """Write the files of all three sites; their databases are left as they are."""
    for name, files in SITE_FILES.items():
        place = directory / name
        app = next(iter(files)).partition("/")[0]
        write(place / "manage.py", MANAGE)
        write(place / "settings.py", SETTINGS.format(app=app))
        write(place / app / "__init__.py", "")
        for path, text in files.items():
            write(place / path, text)


def write(path: Path, text: str) -> None:
    """Write ``text`` for all to read and none but the owner to write, making directories as needed."""
    made = [parent for parent in (path.parent, *path.parent.parents) if not parent.exists()]
    for parent in reversed(made):
        parent.mkdir()
        parent.chmod(0o755)
    path.write_text(text)
    path.chmod(0o644)


def clean_environment() -> dict[str, str]:
    """Return our environment without what would lead a site's Python astray."""
    astray = ("DJANGO_", "PYTHON")
    return {key: value for key, value in os.environ.items() if not key.startswith(astray)}


def toml_string(value: os.PathLike[str] | str) -> str:
    r"""Return ``value`` as a TOML string.

    >>> print(toml_string('a "b" c:\\d'))
    "a \"b\" c:\\d"
    """
    text = os.fspath(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


def daemon_toml(directory: Path, runtime: Path) -> str:
    """Return the top of the demo's sites.toml; all but ``runtime`` is below ``directory``."""
    return DAEMON_TOML.format(
        runtime=toml_string(runtime),
        state=toml_string(directory / "state"),
        log=toml_string(directory / "log"),
    )


def site_toml(directory: Path, venv: Path, user: str) -> str:
    """Return the part of sites.toml for one site."""
    return SITE_TOML.format(
        directory=toml_string(directory),
        venv=toml_string(venv),
        user=toml_string(user),
        good_run=GOOD_RUN,
    )
