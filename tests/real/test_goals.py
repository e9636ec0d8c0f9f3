"""What people want survives the daemon, however it ends; what cannot be stored is not started."""

import json
import os
import resource
import signal
from pathlib import Path

import pytest

from linodmgr.daemon.keep import Goals
from tests.eventually import eventually
from tests.real.asking import pid_of, ready, sites, start, stop, until
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site


def two_sites(runtime: Path) -> str:
    return "".join(site(make_worker(runtime / name, "waits")) for name in ("one", "two"))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_stopped_by_hand_survives_every_end_of_the_daemon(
    daemon: Daemon, runtime: Path, end: signal.Signals
) -> None:
    daemon.configure(two_sites(runtime))
    daemon.start()
    pid_of(daemon, "one")
    other = ready(daemon, "two")
    stop(daemon, "one")
    assert daemon.process is not None

    daemon.process.send_signal(end)
    daemon.process.wait()
    if end is signal.SIGKILL:
        os.kill(other, signal.SIGKILL)
    daemon.start()

    until(daemon, "two", "RUNNING")
    one = sites(daemon)["one"]
    assert (one.state, one.goal, one.pid) == ("STOPPED", "DOWN", None)
    start(daemon, "one")
    assert daemon.stop() == 0
    daemon.start()
    until(daemon, "one", "RUNNING")


def test_the_end_of_the_daemon_changes_no_goal(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(two_sites(runtime))
    daemon.start()
    pid_of(daemon, "one")
    stop(daemon, "two")
    goals = runtime / "state" / "goals.json"
    before = goals.read_bytes()

    daemon.cli("stop", "--daemon", code=None)
    assert daemon.stop() == 0

    assert goals.read_bytes() == before
    assert json.loads(before) == {"stopped": ["two"]}


def test_a_restart_of_a_site_is_a_wish_to_have_it_up(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(two_sites(runtime))
    daemon.start()
    pid_of(daemon, "one")
    stop(daemon, "one")

    daemon.cli("restart", "one")
    assert daemon.stop() == 0
    daemon.start()

    until(daemon, "one", "RUNNING")


DAMAGED = {
    "empty": b"",
    "cut off": b'{"stopped": ["on',
    "no text": b"\xff\xfe",
    "another shape": b"[1, 2]",
    "another kind": b'{"stopped": 7}',
    "without what counts": b"{}",
    "deep": b"[" * 100_000,
    "endless": b'{"stopped": [' + b'"x",' * 500_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_goals_are_set_aside_with_a_word(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "goals.json").write_bytes(content)

    goals = Goals(tmp_path)

    assert not goals.is_stopped("one")
    assert (tmp_path / "goals.damaged").read_bytes() == content
    [record] = caplog.records
    assert f"cannot read {tmp_path}/goals.json" in record.message
    assert "set aside as" in record.message
    goals.set_stopped(["one"])
    assert Goals(tmp_path).is_stopped("one")


def test_a_daemon_with_damaged_goals_starts_everything(daemon: Daemon, runtime: Path) -> None:
    (runtime / "state").mkdir(mode=0o755)
    (runtime / "state" / "goals.json").write_text("{")
    daemon.configure(two_sites(runtime))
    daemon.start()

    until(daemon, "one", "RUNNING")
    assert "set aside as" in daemon.said()


def test_what_is_no_name_in_the_goals_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "goals.json").write_text('{"stopped": ["one", 7, null, ["two"]], "later": {}}')

    assert Goals(tmp_path).is_stopped("one")


def test_who_fills_the_disk_can_be_stopped(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(two_sites(runtime))
    daemon.start()
    pid_of(daemon, "one")
    limits = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, -1))  # as good as a full disk

    told = daemon.cli("stop", "one", code=1)

    assert told.stderr.startswith("linodmgr: cannot store what is wanted: ")
    assert told.stderr.endswith(": stopped only until the next start of the daemon\n")
    until(daemon, "one", "STOPPED")
    daemon.cli("reload")
    assert sites(daemon)["one"].state == "STOPPED"
    assert not (runtime / "state" / "goals.json").exists()
    daemon.cli("start", "one")
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, limits)
    daemon.cli("stop", "one")
    assert json.loads((runtime / "state" / "goals.json").read_bytes()) == {"stopped": ["one"]}
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, -1))

    refused = daemon.cli("start", "one", code=1)

    assert refused.stderr.startswith("linodmgr: cannot store what is wanted: ")
    assert refused.stderr.count("\n") == 1
    assert sites(daemon)["one"].state == "STOPPED"


def test_a_wish_is_stored_before_it_is_fulfilled(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "ignores_term")
    daemon.configure(site(project, stop_timeout=60))
    daemon.start()
    pid = ready(daemon, "one")
    daemon.cli("stop", "--no-wait", "one")
    daemon.kill()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the worker has ended")

    daemon.start()

    assert sites(daemon)["one"].state == "STOPPED"
