"""The files of a small Lino Noi project with jobs of its own, per kind of Lino."""

from dataclasses import dataclass, field

MANAGE = """\
#!/usr/bin/env python
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""

# Up to 22.5 jobs live in the scheduler of the `schedule` package.
SETTINGS_SCHEDULE = """\
from lino_noi.lib.noi.settings import *


class Site(Site):
    title = "Test"
    languages = "en"
    use_linod = True
    demo_fixtures = ["std"]

    def get_installed_apps(self):
        yield super().get_installed_apps()
        yield "ourjobs"


SITE = Site(globals())
SECRET_KEY = "only for tests"
"""

# From 23 on, jobs are rows of a table; they may be run by channels.
SETTINGS_TASKS = """\
from lino_noi.lib.noi.settings import *


class Site(Site):
    title = "Test"
    languages = "en"
    demo_fixtures = ["std"]

    def get_installed_plugins(self):
        yield super().get_installed_plugins()
        yield "ourjobs"

    def get_plugin_configs(self):
        yield super().get_plugin_configs()
        yield "linod", "use_channels", {channels}
        yield "linod", "background_sleep_time", 1


SITE = Site(globals())
SECRET_KEY = "only for tests"
"""

# A test asks for an accident by making a file in the project; the job removes it, so it happens once.
JOBS = """\
import os
import sys

{decorator_import}

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def asked_for(what):
    path = os.path.join(HERE, what)
    if not os.path.exists(path):
        return False
    os.remove(path)
    return True


@{decorator}(every=1)
def write_a_line({arguments}):
    with open(os.path.join(HERE, "written"), "a") as file:
        print(os.getpid(), file=file)


@{decorator}(every=1)
def raise_when_asked({arguments}):
    if asked_for("raise"):
        raise ValueError("raised as asked")


@{decorator}(every=1)
def exit_when_asked({arguments}):
    if asked_for("exit"):
        sys.exit(0)
"""

# The task runner acts as the user `robin`, whom only Lino's big demo fixtures create.
FIXTURE = """\
from lino.api import rt


def objects():
    yield rt.models.users.User(username="robin", user_type="900")
"""


@dataclass(frozen=True)
class Kind:
    """One kind of Lino: what pip installs, per version of Python if need be, and the project's files."""

    requirements: tuple[str, ...]
    before_312: tuple[str, ...] = ()
    since_312: tuple[str, ...] = ()
    since_313: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    def install(self, python: tuple[int, int]) -> list[str]:
        """Return the requirements for a version of Python."""
        wanted = [*self.requirements, *(self.before_312 if python < (3, 12) else self.since_312)]
        return [*wanted, *self.since_313] if python >= (3, 13) else wanted


def _files(settings: str, schedule: bool) -> dict[str, str]:
    jobs = (
        JOBS.format(decorator_import="from lino.api import dd", decorator="dd.schedule_often", arguments="")
        if schedule
        else JOBS.format(
            decorator_import="from lino.modlib.linod.choicelists import schedule_often",
            decorator="schedule_often",
            arguments="ar",
        )
    )
    files = {
        "manage.py": MANAGE,
        "settings.py": settings,
        "ourjobs/__init__.py": "",
        "ourjobs/models.py": jobs,
    }
    if schedule:
        return files
    return {**files, "ourjobs/fixtures/__init__.py": "", "ourjobs/fixtures/std.py": FIXTURE}


KINDS = {
    "21": Kind(
        requirements=(
            "lino==21.3.1",
            "lino-xl==21.3.0",
            "lino-noi==21.4.0",
            "Django<3.2",
            "schedule",
            "num2words",
        ),
        before_312=("setuptools<66",),
        # Modules that Python dropped and this old Lino still imports.
        since_312=("setuptools<81", "zombie-imp"),
        since_313=("legacy-cgi",),
        files=_files(SETTINGS_SCHEDULE, schedule=True),
    ),
    "25-channels": Kind(
        requirements=(
            "lino==25.6.1",
            "lino-xl==25.6.0",
            "lino-noi==25.6.0",
            "lino-extjs",
            "lino-react",
            "num2words",
            "channels",
            "channels_redis",
            "daphne",
            "redis<6",  # later ones time out where channels_redis waits for a message
        ),
        files=_files(SETTINGS_TASKS.format(channels=True), schedule=False),
    ),
    "26": Kind(
        requirements=("lino==26.10.8", "lino-xl", "lino-noi", "lino-extjs", "lino-react", "num2words"),
        files=_files(SETTINGS_TASKS.format(channels=False), schedule=False),
    ),
}
