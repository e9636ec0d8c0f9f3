"""manage.py finds all as it does under ``python manage.py``, with every Python that is there."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from linodmgr.runner_protocol import Ready, Unhooked
from tests.eventually import eventually
from tests.real.runner_harness import ENVIRONMENT, copy_schedule, list_mode, pythons, started

WORKERS = Path(__file__).parent.parent / "workers"


@pytest.fixture(params=pythons())
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_script_cannot_tell_the_runner_from_python(python: str, runtime: Path) -> None:
    real = runtime / "real"
    real.mkdir()
    shutil.copy(WORKERS / "runner_prints_itself.py", real / "manage.py")
    site = runtime / "site"
    site.mkdir()
    (site / "manage.py").symlink_to(real / "manage.py")
    plain, under = runtime / "plain.json", runtime / "under.json"

    subprocess.run([python, "manage.py", plain], cwd=site, env=ENVIRONMENT, check=True)
    with started(runtime, site, [str(under)], python) as runner:
        runner.begin()
        assert runner.ends() == 0, runner.text()

    expected, seen = (json.loads(path.read_text().replace(path.name, "X.json")) for path in (plain, under))
    assert seen == expected
    eventually(lambda: not processes_in(site), "the resource trackers of multiprocessing have ended")


def processes_in(directory: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(directory):
                found.append(process.pid)
    return found


def test_the_path_is_left_alone_where_python_is_told_to(runtime: Path) -> None:
    (runtime / "manage.py").write_text("import sys; print(sys.path)")
    environment = {"PYTHONSAFEPATH": "1"}

    with started(runtime, runtime, environment=environment) as runner:
        runner.begin()
        runner.ends()

    plain = subprocess.run(
        [sys.executable, "manage.py"],
        cwd=runtime,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert runner.text() == plain.stdout


@pytest.mark.parametrize(
    "source",
    [
        "raise SystemExit",
        "raise SystemExit(3)",
        "raise SystemExit('last words')",
        "1/0",
        "def f():\n    raise ValueError('x')\ntry:\n    f()\nexcept ValueError:\n    1/0",
        "this is not Python",
        "import sys\nsys.excepthook = lambda *a: print('mine', a[0])\n1/0",
        "import atexit\natexit.register(print, 'at exit')\nprint('no end of line', end='')",
        "import threading\nthreading.Thread(target=print, args=['from a thread']).start()",
        "import os\nos._exit(7)",
        "import os\nos.abort()",
        "import sys\nsys.stdout.buffer.write(b'bytes'); sys.exit(0)",
    ],
)
def test_the_end_is_that_of_python(source: str, runtime: Path) -> None:
    (runtime / "manage.py").write_text(source)

    plain = subprocess.run(
        [sys.executable, "manage.py"],
        cwd=runtime,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    with started(runtime, runtime) as runner:
        runner.begin()
        status = runner.ends()

    assert (status, runner.text()) == (plain.returncode, plain.stdout)


def test_a_script_with_jobs_is_unhooked_until_its_loop_begins(python: str, runtime: Path) -> None:
    copy_schedule(runtime)
    (runtime / "manage.py").write_text(
        "import schedule, time\n"
        "def job():\n"
        "    print('it runs')\n"
        "schedule.every(1).seconds.do(job)\n"
        "while True:\n"
        "    schedule.run_pending()\n"
        "    time.sleep(0.1)\n"
    )

    with started(runtime, runtime, python=python) as runner:
        runner.begin()
        assert runner.expect(Unhooked).reason == "manage.py does not call execute_from_command_line"
        runner.expect(Ready)
        runner.prints("it runs\n")
        runner.stop()
        assert runner.ends() == 0, runner.text()


def test_a_script_of_its_own_is_not_begun_to_list_its_jobs(runtime: Path) -> None:
    (runtime / "manage.py").write_text("open('begun', 'w')")

    done = list_mode(runtime, runtime)

    assert done.returncode == 1
    assert "cannot list the jobs: manage.py does not call execute_from_command_line" in done.stderr
    assert not (runtime / "begun").exists()
