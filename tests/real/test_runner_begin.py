"""The first moments of a runner: directory, environment, daemon; and how it lives without a daemon."""

import signal
import sys
from pathlib import Path

import pytest

from linodmgr.runner_protocol import Hello, Missing, Ready
from tests.eventually import eventually
from tests.real.runner_harness import list_mode, started

PRINTS_ENVIRONMENT = """\
import os, sys
for name in ("A", "B", "PYTHONPATH"):
    print(name, "is", os.environ.get(name), flush=True)
print(os.environ.get("PYTHONPATH") in sys.path)
"""

LOOP = """\
import schedule, time
def job():
    {body}
schedule.every(1).seconds.do(job)
while True:
    schedule.run_pending()
    time.sleep(0.1)
"""


def test_nothing_of_the_site_runs_before_the_daemon_says_go(runtime: Path) -> None:
    (runtime / "manage.py").write_text("open('begun', 'w')")

    with started(runtime, runtime) as runner:
        hello = runner.expect(Hello)
        assert not (runtime / "begun").exists()
        runner.go()
        assert runner.ends() == 0

    assert hello.python == ".".join(map(str, sys.version_info[:3]))
    assert (runtime / "begun").exists()


def test_a_daemon_that_hangs_up_before_go_ends_the_runner(runtime: Path) -> None:
    (runtime / "manage.py").write_text("open('begun', 'w')")

    with started(runtime, runtime) as runner:
        runner.expect(Hello)
        runner.hang_up()
        assert runner.ends() == 75

    assert runner.text() == "cannot begin: the daemon did not say go\n"
    assert not (runtime / "begun").exists()


def test_a_daemon_that_says_nothing_ends_the_runner_in_time(runtime: Path) -> None:
    (runtime / "manage.py").write_text("open('begun', 'w')")

    with started(runtime, runtime, timeout=0.2) as runner:
        runner.expect(Hello)
        assert runner.ends() == 75

    assert not (runtime / "begun").exists()


def test_without_a_daemon_nothing_begins(runtime: Path) -> None:
    (runtime / "manage.py").write_text("open('begun', 'w')")

    with started(runtime, runtime, report=runtime / "nobody") as runner:
        assert runner.ends() == 75

    assert runner.text() == f"cannot reach the daemon at {runtime}/nobody: No such file or directory\n"


def test_a_stop_before_go_ends_the_runner_at_once(runtime: Path) -> None:
    (runtime / "manage.py").write_text("")

    with started(runtime, runtime) as runner:
        runner.expect(Hello)
        runner.stop()
        assert runner.ends() == -signal.SIGTERM


@pytest.mark.parametrize(
    ("directory", "manage", "environment_file", "reason"),
    [
        ("nowhere", "manage.py", "", "cannot enter directory '{}/nowhere': No such file or directory"),
        ("file", "manage.py", "", "cannot enter directory '{}/file': Not a directory"),
        (".", "manage.py", "", "cannot read '{}/./manage.py': No such file or directory"),
        (".", "file/manage.py", "", "cannot read '{}/./file/manage.py': Not a directory"),
        (".", "file", "site.env", "cannot read '{}/./site.env': No such file or directory"),
        (".", "file", "large", "cannot read '{}/./large': it is larger than 65536 bytes"),
    ],
)
def test_what_is_missing_is_told_in_words(
    directory: str, manage: str, environment_file: str, reason: str, runtime: Path
) -> None:
    (runtime / "file").write_text("")
    (runtime / "large").write_text("A=1\n" * 20000)
    site = f"{runtime}/{directory}"
    reason = reason.format(runtime)

    with started(runtime, site, manage=manage, environment_file=environment_file) as runner:
        assert runner.expect(Missing).reason == reason
        assert runner.ends() == 78
    assert runner.text() == reason + "\n"

    done = list_mode(runtime, site, manage=manage, environment_file=environment_file)
    assert (done.returncode, done.stdout, done.stderr) == (78, "", reason + "\n")


def test_the_environment_file_counts_from_the_start_of_python(runtime: Path) -> None:
    (runtime / "manage.py").write_text(PRINTS_ENVIRONMENT)
    (runtime / "site.env").write_text("# ours\nA=1\nexport B='two words'\nPYTHONPATH=/some/where\nnonsense\n")

    with started(runtime, runtime, environment={"A": "0"}, environment_file="site.env") as runner:
        runner.begin()
        assert runner.ends() == 0

    assert runner.text().splitlines() == [
        f"{runtime}/site.env: line 5 is not NAME=value, passed over",
        "A is 1",
        "B is two words",
        "PYTHONPATH is /some/where",
        "True",
    ]


def test_programs_that_a_site_starts_do_not_hold_its_lock(runtime: Path) -> None:
    (runtime / "site.env").write_text("A=1\n")
    (runtime / "manage.py").write_text(
        "import os\n"
        "paths = ['/proc/self/fd/' + name for name in os.listdir('/proc/self/fd')]\n"
        "links = [os.readlink(path) for path in paths if os.path.lexists(path)]\n"
        "print(any('pipe' in link for link in links))\n"
        "os.execl('/bin/ls', 'ls', '-l', '/proc/self/fd')\n"
    )

    with started(runtime, runtime, environment_file="site.env") as runner:  # a pipe stands for the lock
        runner.begin()
        assert runner.ends() == 0

    held, at_program = runner.text().split("\n", 1)
    assert held == "True"
    assert "pipe" not in at_program


def test_a_site_lives_on_without_its_daemon(runtime: Path) -> None:
    (runtime / "manage.py").write_text(LOOP.format(body="open('ran', 'a').write('x')"))

    with started(runtime, runtime) as runner:
        runner.begin()
        runner.hang_up()
        eventually((runtime / "ran").exists, "a job runs")
        runner.stop()
        assert runner.ends() == 0, runner.text()


def test_a_job_that_closes_all_descriptors_keeps_what_it_opens_then(runtime: Path) -> None:
    (runtime / "manage.py").write_text(
        "import os\nos.closerange(3, 100)\n"
        "files = [open(f'file-{number}', 'w') for number in range(20)]\n"
        + LOOP.format(body="open('ran', 'a').write('x')")
    )

    with started(runtime, runtime) as runner:
        runner.begin()
        eventually((runtime / "ran").exists, "a job runs")
        runner.stop()
        assert runner.ends() == 0, runner.text()

    assert not any(isinstance(report, Ready) for report in runner.said)
    assert [(runtime / f"file-{number}").read_text() for number in range(20)] == [""] * 20


def test_lines_appear_at_once(runtime: Path) -> None:
    (runtime / "manage.py").write_text("import signal\nprint('here')\nsignal.pause()\n")

    with started(runtime, runtime) as runner:
        runner.begin()
        runner.prints("here\n")
