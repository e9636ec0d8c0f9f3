"""What every test gets: a short runtime directory, and a check that it leaves nothing behind."""

import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import leftovers
from tests.system import machine

NEEDS = "needs(program): needs a program of Debian's; left out where it is not installed, except in CI"
AT_ONCE = 4  # processes that run tests, at most
OUTPUT = "left out"  # what such a process tells of what it has left out
MOUNTS = "mounts: mounts a small disk; left out where even root may not"
HANGS = "hangs: plays a disk that never answers; left out where there is no /dev/fuse"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos", "the chaos test")
    group.addoption("--chaos-minutes", type=float, default=0.0, help="for each variant; default: short")
    group.addoption("--chaos-seed", type=int, help="the seed that an earlier run has printed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", NEEDS)
    config.addinivalue_line("markers", MOUNTS)
    config.addinivalue_line("markers", HANGS)
    config.stash[_LEFT_OUT] = {}
    # Whoever runs us in the background lets us ignore them, and so what we run.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


_LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run all tests in several processes, most of them wait; chosen ones in this one, where they are seen."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    return min(os.cpu_count() or 1, AT_ONCE)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this machine cannot run, and count it for the last lines of the summary."""
    counts = config.stash[_LEFT_OUT]
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        reason = _why_not(item)
        if reason:
            counts[reason] = counts.get(reason, 0) + 1
        (left_out if reason else kept).append(item)
        if item.get_closest_marker("lino") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1200))  # the first one installs Lino
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def _why_not(item: pytest.Item) -> str:
    booted = item.get_closest_marker("system")
    if (booted or item.get_closest_marker("root")) and os.geteuid() != 0:
        return "need root: sudo env/bin/python -m pytest -m 'root or system'"
    if booted and not os.environ.get("CI") and (reason := machine.why_not()):
        return f"boot a Debian of their own: {reason}"
    if item.get_closest_marker("mounts") and not _may_mount():
        return "mount a small disk, which is not allowed here"
    if item.get_closest_marker("hangs") and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "play a disk that hangs, for which there is no /dev/fuse here"
    for marker in item.iter_markers("needs"):
        program = str(marker.args[0])
        if not os.environ.get("CI") and not shutil.which(program):
            return f"need {program}, which is not installed"
    return ""


@functools.cache
def _may_mount() -> bool:
    tried = subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False)
    return tried.returncode == 0


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        counts = session.config.stash[_LEFT_OUT]
        session.config.workeroutput[OUTPUT] = counts


def pytest_testnodedown(node: Any) -> None:
    """Take over what a process has left out; each leaves out the same."""
    counts: dict[str, int] = getattr(node, "workeroutput", {}).get(OUTPUT, {})
    config: pytest.Config = node.config
    config.stash[_LEFT_OUT].update(counts)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    for reason, count in config.stash[_LEFT_OUT].items():
        terminalreporter.write_line(f"left out: {count} tests that {reason}")


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process, a thread or an open socket behind."""
    # Asked for before the test, so that they are still there when it is over.
    places = [
        str(request.getfixturevalue(name)) for name in ("tmp_path", "runtime") if name in request.fixturenames
    ]
    before = leftovers.Seen.now()
    yield
    left = before.left(places)
    leftovers.end(left.processes)
    assert not left, f"left behind: {left}"


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A directory with a path short enough for sockets (107 bytes), which every user may enter."""
    place = Path(tempfile.mkdtemp(prefix="lm-", dir="/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place, ignore_errors=True)
