"""Linods that others started are found and named, whatever started them; ours are not."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from linodmgr import strangers
from tests.eventually import eventually

WAITS = "import signal\nsignal.pause()\n"
FORKS = "import os, signal\nos.fork()\nsignal.pause()\n"
PYTHON = sys.executable

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "manage.py").write_text(WAITS)
    return tmp_path


@pytest.fixture
def start(project: Path) -> Iterator[Start]:
    """Start a command in the project directory; its whole session is ended afterwards."""
    started = []

    def run(*arguments: str, cwd: Path = project, fds: tuple[int, ...] = ()) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            arguments, cwd=cwd, pass_fds=fds, stdin=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        # A process has no arguments for a moment after its exec.
        cmdline = Path(f"/proc/{process.pid}/cmdline")
        eventually(lambda: process.poll() is not None or cmdline.read_bytes(), "it runs")
        return process

    yield run
    for process in started:
        with process:
            os.killpg(process.pid, signal.SIGKILL)
    eventually(lambda: not _find(project), "what they started has ended, too")


def _find(project: Path, *ours: int) -> list[strangers.Stranger]:
    status = project.stat()
    return strangers.find({(status.st_dev, status.st_ino): "noi"}, ours).get("noi", [])


def test_a_linod_in_the_project_directory_is_found_and_named(project: Path, start: Start) -> None:
    process = start(PYTHON, "manage.py", "linod")

    (stranger,) = _find(project)
    assert (stranger.pid, stranger.uid) == (process.pid, os.geteuid())
    assert stranger.command == f"{PYTHON} manage.py linod"
    assert stranger.started_by.endswith(f" (pid {os.getpid()})")
    since = datetime.fromisoformat(stranger.since).timestamp()
    assert abs(psutil.Process(stranger.pid).create_time() - since) < 2.0
    about = f"({stranger.command}), since {stranger.since}, started by {stranger.started_by}"
    assert str(stranger) == f"pid {stranger.pid} {about}"


def test_a_linod_that_came_by_another_path_is_found(project: Path, start: Start, runtime: Path) -> None:
    (runtime / "link").symlink_to(project)
    process = start(PYTHON, str(project / "manage.py"), "linod", cwd=runtime / "link")

    assert [stranger.pid for stranger in _find(project)] == [process.pid]


@pytest.mark.parametrize(
    "arguments",
    [
        ("manage.py", "runworker", "linod_task_runner"),
        ("-u", "manage.py", "linod", "--force"),
    ],
)
def test_other_ways_to_run_jobs_are_found(project: Path, start: Start, arguments: tuple[str, ...]) -> None:
    process = start(PYTHON, *arguments)

    assert [stranger.pid for stranger in _find(project)] == [process.pid]


def test_a_runner_of_another_linodmgr_is_found_whatever_it_runs(project: Path, start: Start) -> None:
    (project / "runner.py").write_text(WAITS)
    runner = str(project / "runner.py")
    process = start(PYTHON, runner, "--mode=run", "--", "my_linod")
    start(PYTHON, runner, "--mode=list", "--", "linod")

    assert [stranger.pid for stranger in _find(project)] == [process.pid]


@pytest.mark.parametrize(
    "arguments",
    [
        (PYTHON, "manage.py", "linod", "--list"),
        (PYTHON, "manage.py", "linod", "-l"),
        (PYTHON, "manage.py", "runserver"),
        (PYTHON, "manage.py", "linodx"),
        ("tail", "-f", "manage.py", "linod"),
        ("/bin/sh", "-c", "read line", "linod"),
    ],
)
def test_what_runs_no_jobs_is_no_stranger(project: Path, start: Start, arguments: tuple[str, ...]) -> None:
    start(*arguments)

    assert _find(project) == []


def test_a_linod_of_another_directory_is_no_stranger(project: Path, start: Start, runtime: Path) -> None:
    other = runtime / "other"
    other.mkdir()
    (project / "manage.py").rename(other / "manage.py")
    start(PYTHON, "manage.py", "linod", cwd=other)

    assert _find(project) == []


@pytest.mark.parametrize("prefix", ["", "../"], ids=["absolute", "relative"])
def test_a_linod_that_was_started_from_elsewhere_is_found_by_its_manage_py(
    project: Path, start: Start, runtime: Path, prefix: str
) -> None:
    elsewhere = runtime / "elsewhere"
    elsewhere.mkdir()
    script = os.path.relpath(project / "manage.py", elsewhere) if prefix else str(project / "manage.py")
    process = start(PYTHON, "-u", script, "linod", cwd=elsewhere)

    assert [stranger.pid for stranger in _find(project)] == [process.pid]


def test_ours_and_what_they_started_are_no_strangers(project: Path, start: Start) -> None:
    shell = start("/bin/sh", "-c", f"{PYTHON} manage.py linod & {PYTHON} manage.py linod & wait")
    eventually(lambda: len(_find(project)) == 2, "both linods run")

    assert _find(project, shell.pid) == []


def test_a_fork_of_a_stranger_is_not_told_again(project: Path, start: Start) -> None:
    (project / "manage.py").write_text(FORKS)
    process = start(PYTHON, "manage.py", "linod")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    eventually(children.read_text, "it has forked")

    assert [stranger.pid for stranger in _find(project)] == [process.pid]


def test_a_linod_that_was_left_alone_is_found(project: Path, start: Start) -> None:
    start("/bin/sh", "-c", f"{PYTHON} manage.py linod & exit 0").wait()

    (stranger,) = eventually(lambda: _find(project), "the orphan runs")
    assert stranger.started_by


def test_a_command_is_shown_on_one_short_line(project: Path, start: Start) -> None:
    process = start(PYTHON, "manage.py", "linod", "a\nb\x1b", "x" * 1000)

    stranger = strangers.describe(process.pid)
    assert stranger is not None
    assert stranger.command.isprintable()
    assert len(stranger.command) <= strangers.COMMAND_SHOWN


def test_who_has_ended_cannot_be_described() -> None:
    process = subprocess.Popen(["true"])
    process.wait()

    assert strangers.describe(process.pid) is None


def test_who_has_no_arguments_is_described_all_the_same(start: Start) -> None:
    """As whoever is being executed just now has none."""
    process = start("/bin/bash", "-c", "exec -a '' cat")
    eventually(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes() == b"\0", "it is cat")

    described = strangers.describe(process.pid)

    assert described is not None
    assert str(described).startswith(f"pid {process.pid} ([cat]), since ")


def test_a_zombie_cannot_be_described(start: Start) -> None:
    process = start("/bin/cat")
    assert process.stdin is not None
    process.stdin.close()
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "it has ended")

    assert strangers.describe(process.pid) is None


def test_who_inherited_a_lock_file_holds_it(project: Path, start: Start) -> None:
    paths = [project / "1-2", project / "elsewhere" / "1-2"]
    paths[1].parent.mkdir()
    holders = []
    for path in paths:
        with path.open("w") as lock:
            holders.append(start(PYTHON, "manage.py", "linod", fds=(lock.fileno(),)).pid)

    assert strangers.holders(str(paths[0])) == [holders[0]]
    assert strangers.holders_of([str(path) for path in paths]) == {
        str(path): [holder] for path, holder in zip(paths, holders, strict=True)
    }
    assert strangers.holders(str(project / "3-4")) == []
