"""Records of workers are not believed blindly: what is not a worker of ours is not taken over, nor harmed."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from linodmgr.birth import born
from linodmgr.config import load
from tests.eventually import eventually
from tests.real.asking import pid_of, stop, until
from tests.real.daemon_fixture import Daemon
from tests.real.taken_over import NAMES, begin, is_alive, pids, record

Change = Callable[[dict[str, object]], object]


def test_a_record_of_another_process_is_not_believed(daemon: Daemon) -> None:
    begin(daemon, names=("one",))
    old = pid_of(daemon, "one")
    daemon.kill()
    os.kill(old, signal.SIGKILL)
    with subprocess.Popen(["sleep", "100"]) as innocent:
        try:
            change(record(daemon), lambda told: told.update(pid=innocent.pid))
            daemon.start()

            assert pid_of(daemon, "one") not in (old, innocent.pid)
            stop(daemon, "one")
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_a_record_of_a_process_that_is_no_worker_harms_neither_it_nor_a_worker(daemon: Daemon) -> None:
    begin(daemon, names=("one", "two"))
    old = pids(daemon)
    daemon.kill()
    with subprocess.Popen(["sleep", "100"]) as innocent:
        try:
            told = json.loads(record(daemon).read_text())
            told.update(pid=innocent.pid, started=born(innocent.pid))
            told["site"]["name"] = "gone"
            write_record(record(daemon, "gone"), told)
            told.update(pid=old["two"], started=born(old["two"] or 0))
            told["site"]["name"] = "also"
            write_record(record(daemon, "also"), told)

            daemon.start()

            assert pids(daemon) == old
            assert innocent.poll() is None
        finally:
            innocent.kill()
    for name in ("gone", "also"):
        assert f"{name}: pid " in daemon.said()


def test_a_record_of_who_has_ended_harms_no_worker(daemon: Daemon) -> None:
    daemon.environment["LINODMGR_CGROUP"] = "off"
    begin(daemon, names=("one", "two"))
    old = pids(daemon)
    daemon.kill()
    told = json.loads(record(daemon).read_text())
    told.update(pid=(1 << 31) - 1)
    told["site"]["name"] = "gone"
    write_record(record(daemon, "gone"), told)

    daemon.start()

    eventually(lambda: "gone: its worker" in daemon.said(), "it has been looked at")
    stop(daemon, "two")
    assert pids(daemon)["one"] == old["one"]


@pytest.mark.parametrize("field", ["boot", "started"])
def test_a_record_of_another_boot_or_of_an_earlier_process_with_that_pid_is_not_believed(
    daemon: Daemon, field: str
) -> None:
    begin(daemon, names=("one",))
    old = pid_of(daemon, "one")
    daemon.kill()
    change(record(daemon), lambda told: told.update({field: "another" if field == "boot" else 1}))

    daemon.start()

    assert pid_of(daemon, "one") != old
    assert not is_alive(old)


def test_a_record_whose_pid_is_that_of_a_thread_by_now_keeps_nobody_from_starting(daemon: Daemon) -> None:
    begin(daemon, names=("one",))
    old = pid_of(daemon, "one")
    daemon.kill()
    os.kill(old, signal.SIGKILL)
    eventually(lambda: not is_alive(old), "it has ended")
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    change(record(daemon), lambda told: told.update(pid=thread.native_id))

    daemon.start()

    assert pid_of(daemon, "one") != old
    assert "has ended while no daemon ran" in daemon.said()
    end.set()
    thread.join()


def test_a_damaged_record_is_set_aside_with_a_message(daemon: Daemon) -> None:
    begin(daemon)
    old = pids(daemon)
    daemon.kill()
    record(daemon).write_text("{")
    record(daemon, "two").chmod(0o666)

    daemon.start()

    assert {name: pid_of(daemon, name) for name in NAMES}["three"] == old["three"]
    damaged = daemon.home / "run" / "workers" / "damaged"
    assert sorted(path.name for path in damaged.iterdir()) == ["one.json", "two.json"]
    assert daemon.said().count("cannot use the record") == 2
    for name in ("one", "two"):
        assert not is_alive(old[name])


def test_a_worker_whose_lock_has_got_into_other_hands_is_replaced_once_it_is_free(daemon: Daemon) -> None:
    begin(daemon, "closes_all", names=("one",))
    old = pid_of(daemon, "one")
    lock = lock_of(daemon, "one")
    daemon.kill()
    with subprocess.Popen(["flock", str(lock), "sleep", "100"], start_new_session=True) as other:
        try:
            eventually(lambda: is_locked(lock), "it has it")
            daemon.start()

            reason = str(until(daemon, "one", "BLOCKED").reason)
            assert "(sleep 100), since " in reason or "(flock " in reason
            assert not is_alive(old)
        finally:
            os.killpg(other.pid, signal.SIGKILL)
    assert pid_of(daemon, "one") != old


def lock_of(daemon: Daemon, name: str) -> Path:
    place = os.stat(daemon.home / name)
    return load(daemon.config).places.lock_dir / f"{place.st_dev}-{place.st_ino}"


def is_locked(lock: Path) -> bool:
    return subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode != 0


def write_record(path: Path, told: object) -> None:
    path.write_text(json.dumps(told))
    path.chmod(0o600)


def change(path: Path, how: Change) -> None:
    """Change a record as somebody with an editor would."""
    told = json.loads(path.read_text())
    how(told)
    path.write_text(json.dumps(told))
