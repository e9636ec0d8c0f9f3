"""Whatever a worker starts ends with it: with control groups, and where there are none."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from linodmgr.daemon import kin
from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site

KINDS = ("session", "twice", "deaf", "stopped", "chatty", "relay", "fertile", "crowd")
FORKS = """\
import os, signal
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    while True:
        signal.pause()
"""


@pytest.fixture(params=["groups", "no groups"])
def contained(daemon: Daemon, request: pytest.FixtureRequest) -> Daemon:
    """A daemon where there are control groups, and one that has to do without; it is not configured yet."""
    daemon.environment["LINODMGR_CGROUP"] = "on" if request.param == "groups" else "off"
    return daemon


def family(daemon: Daemon, kind: str, **keys: object) -> str:
    """Return the [[site]] of a worker whose family is of this kind."""
    make_worker(daemon.home / kind, "family")
    keys["log_max_bytes"] = 1_000_000_000  # one that says much shall not hide that it is ready
    return site(daemon.home / kind, environment={"FAMILY": kind}, backoff_max=0.1, **keys)


def living(mark: str) -> list[str]:
    """Return who lives of what one start of a worker has started, itself included."""
    found = [pid for pid in kin.processes() if kin.mark(pid) == mark]
    return [kin.words([pid]) for pid in found if (seen := kin.look(pid)) and not seen.is_dead]


def begun(daemon: Daemon, kinds: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """Return pid and mark of each worker once its family is there."""
    found = {}
    for kind in kinds:
        eventually(partial(_is_ready, daemon, kind), f"{kind} is ready", limit=30.0)
        pid = daemon.until(kind, "RUNNING")["pid"]
        found[kind] = (pid, kin.mark(pid))
    return found


def test_nothing_of_any_family_is_left_by_death_or_stop(contained: Daemon) -> None:
    contained.configure("".join(family(contained, kind) for kind in KINDS))
    contained.start()
    first = begun(contained, KINDS)
    steady = [kind for kind in KINDS if kind not in ("relay", "fertile")]  # who can be seen
    assert all(len(living(first[kind][1])) > 1 for kind in steady)

    for pid, _ in first.values():
        os.kill(pid, signal.SIGKILL)

    for kind, (_, mark) in first.items():
        eventually(partial(_is_gone, mark), f"nothing is left of {kind}")
    second = begun(contained, KINDS)
    contained.cli("stop")
    assert {kind: living(mark) for kind, (_, mark) in second.items() if living(mark)} == {}
    assert contained.stop() == 0
    assert not [pid for pid in kin.processes() if _is_at(pid, contained.home)]


def test_what_is_ended_is_said(contained: Daemon) -> None:
    contained.configure(family(contained, "session"))
    contained.start()
    pid, mark = begun(contained, ("session",))["session"]
    [left] = [child.pid for child in psutil.Process(pid).children()]

    os.kill(pid, signal.SIGKILL)

    eventually(lambda: not living(mark), "nothing is left")
    assert f"session: ending what its worker left behind: pid {left} (" in contained.said()
    assert contained.said().count(f"pid {left} (") == 1


@pytest.mark.parametrize("upgraded", [False, True], ids=["", "upgraded"])
def test_what_tells_nothing_of_itself_lives_as_long_as_the_worker(contained: Daemon, upgraded: bool) -> None:
    contained.configure(family(contained, "nameless"))
    contained.start()
    pid, _ = begun(contained, ("nameless",))["nameless"]
    note = contained.home / "nameless" / "nameless"
    left = psutil.Process(int(eventually(lambda: note.exists() and note.read_text().strip(), "it is there")))
    eventually(lambda: left.cmdline() == ["sleep", "100000"], "it tells nothing")
    eventually(lambda: left.create_time() + 1.5 < _now(), "nobody has minded it")
    if upgraded:
        contained.cli("upgrade")
    assert left.is_running()

    os.kill(pid, signal.SIGKILL)

    eventually(lambda: not left.is_running(), "it has ended")


def test_what_was_started_before_the_worker_was_contained_ends_with_it(contained: Daemon) -> None:
    one = contained.home / "one"
    one.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", one / "env"], check=True)
    [packages] = (one / "env").glob("lib/python3*/site-packages")
    (packages / "early.pth").write_text("import early\n")
    (packages / "early.py").write_text(FORKS)
    (one / "manage.py").write_text("import signal\nprint('ready', flush=True)\nsignal.pause()\n")
    contained.configure(site(one))
    contained.start()
    pid, mark = begun(contained, ("one",))["one"]
    assert len(living(mark)) == 2

    os.kill(pid, signal.SIGKILL)

    eventually(lambda: not living(mark), "nothing is left")
    second = contained.until("one", "RUNNING")["pid"]
    contained.cli("stop")
    assert living(kin.mark(second) or mark) == []
    assert contained.stop() == 0
    assert not [pid for pid in kin.processes() if _is_at(pid, contained.home)]


def test_groups_of_workers_that_have_ended_are_removed(daemon: Daemon) -> None:
    daemon.configure(family(daemon, "session"))
    daemon.start()
    pid, _ = begun(daemon, ("session",))["session"]
    mount = "/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
    group = mount + Path(f"/proc/{pid}/cgroup").read_text().rpartition("0::")[2].strip()
    assert os.path.isdir(group)

    assert daemon.stop() == 0

    assert not os.path.exists(os.path.dirname(group))


def _is_ready(daemon: Daemon, kind: str) -> bool:
    return "ready" in daemon.log(kind)


def _is_gone(mark: str) -> bool:
    return not living(mark)


def _now() -> float:
    return float(psutil.boot_time()) + float(Path("/proc/uptime").read_text().split()[0])


def _is_at(pid: int, place: Path) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd").startswith(str(place))
    except OSError:
        return False
