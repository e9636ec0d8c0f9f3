"""Sites on a machine: scripts that wait for ever, and Django sites whose job is busy until it is let go."""

from collections.abc import Sequence

from tests.real.django_sites import make_site
from tests.real.worker_sites import make_worker, site
from tests.system.debian import VENV
from tests.system.service import PROJECTS, Service

PYTHON = "/usr/bin/python3"
LET_GO = "let_go"  # once there is a file of this name, a busy job ends

BEGIN = """\
import os
import subprocess
import threading
from linodmgr.linod import schedule_often


def tell(what):
    with open("told", "a") as file:
        print(what, file=file)


@schedule_often(every=1)
def work():
    tell("begins")
"""
END = """
    tell("ends")
"""
FUNCTION = f"""{BEGIN}
    while not os.path.exists("{LET_GO}"):
        threading.Event().wait(0.05){END}"""
# Here a signal to the program that the job runs would end the job, too.
PROGRAM = f"""{BEGIN}
    subprocess.run(["sh", "-c", "until test -e {LET_GO}; do sleep 0.05; done"], check=True){END}"""
THREE_SECONDS = f"""{BEGIN}
    threading.Event().wait(3){END}"""


def waiting(service: Service, name: str, worker: str = "waits", **keys: object) -> str:
    """Return the [[site]] of a project that was made to run one of tests/workers."""
    make_worker(service.project(name), worker, PYTHON)
    return _owned(service, name, keys)


def busy(service: Service, name: str, jobs: str = PROGRAM, **keys: object) -> str:
    """Return the [[site]] of a Django project that was made to run ``jobs``."""
    make_site(service.project(name), jobs, python=f"{VENV}/bin/python")
    return _owned(service, name, keys)


def _owned(service: Service, name: str, keys: dict[str, object]) -> str:
    if "user" in keys:
        service.machine.run("chown", "--recursive", f"{keys['user']}:", f"{PROJECTS}/{name}")
    return site(f"{PROJECTS}/{name}", **keys)


def told(service: Service, name: str) -> Sequence[str]:
    """Return what the busy job has told so far."""
    path = service.project(name) / "told"
    return path.read_text().split() if path.exists() else []


def let_go(service: Service, name: str) -> None:
    """Let the busy job end."""
    (service.project(name) / LET_GO).touch()
