"""A daemon that starts takes over the workers that an earlier one has left: the same, not others."""

import os
import pwd
import signal
import subprocess
from pathlib import Path

import pytest

from linodmgr.protocol import SiteStatus
from tests.eventually import eventually
from tests.real import jobs_asked
from tests.real.asking import pid_of, ready, sites, stop, until
from tests.real.daemon_fixture import LINODMGR, Daemon
from tests.real.lino_sites import public_python
from tests.real.taken_over import NAMES, begin, is_alive, pids, record
from tests.real.worker_sites import make_worker, site

SPEAKS_AT_ITS_END = """\
import signal, sys, time

def end(*_):
    print("last words", flush=True)
    time.sleep(0.3)
    print("very last words", flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    print("said", flush=True)
    time.sleep(0.05)
"""
SPEAKS = """\
# execute_from_command_line is called by others
import os, time
import schedule

number = 0

def counts():
    while not os.path.exists("go"):
        speak()
        time.sleep(0.01)

def speak():
    global number
    print("number", number, flush=True)
    number += 1

schedule.every(1).seconds.do(counts)
while True:
    schedule.run_pending()
    speak()
    time.sleep(0.01)
"""


def seen(one: SiteStatus) -> tuple[object, ...]:
    """Return what must be the same before and after."""
    return one.pid, one.state, one.goal, one.restarts


def test_a_new_daemon_takes_over_all_workers_and_shows_them_as_before(daemon: Daemon) -> None:
    begin(daemon)
    os.kill(pid_of(daemon, "two"), signal.SIGKILL)
    eventually(lambda: sites(daemon)["two"].restarts == 1, "it is counted")
    ready(daemon, "two")
    until(daemon, "two", "RUNNING")
    before = sites(daemon)
    daemon.kill()

    daemon.start()

    after = sites(daemon)
    assert {name: seen(one) for name, one in after.items()} == {
        name: seen(one) for name, one in before.items()
    }
    for name in NAMES:
        assert (after[name].uptime or 0.0) > (before[name].uptime or 0.0)
    assert "took over 3 live workers" in daemon.said()


def test_workers_that_were_taken_over_can_be_stopped_and_restarted(daemon: Daemon) -> None:
    begin(daemon)
    old = pids(daemon)
    daemon.kill()
    daemon.start()

    stop(daemon, "one")
    daemon.cli("restart", "two")

    assert not is_alive(old["one"])
    assert pid_of(daemon, "two") != old["two"]
    assert daemon.stop() == 0
    assert not is_alive(old["three"])
    assert not list((daemon.home / "run" / "workers").glob("*.json"))


def test_several_daemons_one_after_the_other_take_over_the_same_workers(daemon: Daemon) -> None:
    begin(daemon, names=("one",))
    old = pids(daemon)

    for _ in range(3):
        daemon.kill()
        daemon.start()
        assert pids(daemon) == old


def test_the_end_of_a_worker_that_was_taken_over_is_a_death_whatever_its_status(daemon: Daemon) -> None:
    begin(daemon, "ends_when_told", names=("one",), restart="always")
    old = pid_of(daemon, "one")
    daemon.kill()
    daemon.start()

    (daemon.home / "one" / "end").touch()

    eventually(lambda: sites(daemon)["one"].restarts == 1, "it is a death")
    (daemon.home / "one" / "end").unlink()
    assert pid_of(daemon, "one") != old
    assert f"one: ended, nobody saw how (pid {old})" in daemon.said()


def test_a_job_goes_on_without_a_daemon_and_no_line_of_it_is_lost(daemon: Daemon) -> None:
    place = make_worker(daemon.home / "one", "waits")
    (place / "manage.py").write_text(SPEAKS)
    daemon.configure(site(place))
    daemon.start()
    jobs_asked.job(daemon, "one", "counts", state="running")
    pid = pid_of(daemon, "one")
    daemon.kill()
    daemon.start()

    (place / "go").touch()

    jobs_asked.job(daemon, "one", "counts", outcome="ok")
    assert pid_of(daemon, "one") == pid
    stop(daemon, "one")
    lines = [line for line in daemon.log("one").splitlines() if line.startswith("number ")]
    assert lines == [f"number {number}" for number in range(len(lines))]


def test_a_worker_that_cannot_be_heard_any_more_is_started_again(daemon: Daemon) -> None:
    begin(daemon)
    before = pids(daemon)
    daemon.kill()
    (daemon.home / "run" / "output" / "two").unlink()

    daemon.start()

    eventually(lambda: pids(daemon)["two"] not in (None, before["two"]), "it is another one")
    until(daemon, "two", "RUNNING")
    assert {**pids(daemon), "two": 0} == {**before, "two": 0}
    assert "two: cannot read the output of its worker: its pipe is no longer there" in daemon.said()


@pytest.mark.root
def test_a_worker_whose_user_was_changed_meanwhile_is_heard_until_it_has_ended(
    daemon: Daemon, user: pwd.struct_passwd
) -> None:
    place = make_worker(daemon.home / "one", "waits", public_python())
    (place / "manage.py").write_text(SPEAKS_AT_ITS_END)
    daemon.configure(site(place, user=user.pw_name))
    daemon.start()
    eventually(lambda: "said" in daemon.log("one"), "it speaks")
    old = pid_of(daemon, "one")
    daemon.kill()
    (place / "manage.py").write_text("print('another', flush=True)\n" + SPEAKS_AT_ITS_END)
    daemon.configure(site(place))

    daemon.start()

    eventually(lambda: pid_of(daemon, "one") not in (None, old), "it is another one")
    eventually(lambda: "another" in daemon.log("one"), "and that is heard")
    before, _, _ = daemon.log("one").partition("another")
    assert before.splitlines()[-2:] == ["last words", "very last words"]
    assert "cannot read" not in daemon.said()


def test_what_is_no_longer_wanted_is_drained_and_what_has_changed_is_restarted(daemon: Daemon) -> None:
    names = ("stays", "changed", "disabled", "gone", "stopped")
    begin(daemon, names=names)
    old = pids(daemon)
    daemon.kill()
    table = {name: site(daemon.home / name) for name in names}
    table["changed"] = site(daemon.home / "changed", environment={"CHANGED": "yes"})
    table["disabled"] = site(daemon.home / "disabled", enabled=False)
    daemon.configure("".join(text for name, text in table.items() if name != "gone"))
    (daemon.home / "state" / "goals.json").write_text('{"stopped": ["stopped"]}')

    daemon.start()

    for name in ("disabled", "stopped"):
        until(daemon, name, "STOPPED")
    assert eventually(lambda: pid_of(daemon, "changed") not in (old["changed"], None), "it has a new process")
    eventually(lambda: not is_alive(old["gone"]), "who is gone has ended")
    assert pid_of(daemon, "stays") == old["stays"]
    assert sorted(sites(daemon)) == sorted(set(names) - {"gone"})


def test_an_entry_that_was_renamed_meanwhile_gets_the_site_after_the_old_worker_has_ended(
    daemon: Daemon,
) -> None:
    begin(daemon, names=("one",))
    old = pid_of(daemon, "one")
    daemon.kill()
    daemon.configure(site(daemon.home / "one", name="same"))

    daemon.start()

    assert pid_of(daemon, "same") != old
    assert not is_alive(old)
    assert list(sites(daemon)) == ["same"]


@pytest.mark.parametrize("cgroup", ["on", "off"])
def test_a_worker_that_ended_while_no_daemon_ran_is_started_anew_and_leaves_nothing(
    daemon: Daemon, cgroup: str
) -> None:
    daemon.environment["LINODMGR_CGROUP"] = cgroup
    begin(daemon, "leaves_child", names=("one",))
    child = int((daemon.home / "one" / "child").read_text())
    old = pid_of(daemon, "one")
    daemon.kill()
    os.kill(old, signal.SIGKILL)

    daemon.start()

    assert pid_of(daemon, "one") != old
    eventually(lambda: not is_alive(child), "what it left has been ended")
    assert f"one: its worker (pid {old}) has ended while no daemon ran" in daemon.said()


def test_a_daemon_that_is_killed_while_it_starts_workers_neither_loses_nor_doubles_one(
    daemon: Daemon,
) -> None:
    names = ("one", "two", "three", "four")
    daemon.configure("".join(site(make_worker(daemon.home / name, "waits")) for name in names))
    for name in names:
        daemon.launch()
        eventually(record(daemon, name).exists, f"{name} is being started")
        daemon.kill()

    daemon.start()

    alive = {name: pid_of(daemon, name) for name in names}
    for name in names:
        place = os.stat(daemon.home / name)
        assert workers_in(place) == [alive[name]]


def workers_in(place: os.stat_result) -> list[int]:
    """Return the processes whose current directory is this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            where = os.stat(entry / "cwd") if entry.name.isdecimal() else None
        except OSError:
            continue
        if where and (where.st_dev, where.st_ino) == (place.st_dev, place.st_ino):
            found.append(int(entry.name))
    return found


def test_a_worker_that_could_not_be_recorded_is_recorded_later(daemon: Daemon) -> None:
    begin(daemon, names=("one",))
    records = daemon.home / "run" / "workers"
    records.rename(daemon.home / "away")
    records.write_text("in the way")
    daemon.cli("restart", "--now", "one")
    pid = pid_of(daemon, "one")
    assert "one: cannot record its worker: " in daemon.said()

    records.unlink()

    eventually((records / "one.json").exists, "it is recorded")
    daemon.kill()
    daemon.start()
    assert pid_of(daemon, "one") == pid


def test_a_daemon_without_descriptors_takes_nobody_for_dead(daemon: Daemon) -> None:
    begin(daemon)
    before = pids(daemon)
    daemon.kill()
    command = [LINODMGR, "--config", str(daemon.config), "start", "--foreground"]
    for limit in (12, 15, 18, 40):
        few = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *command]
        done = subprocess.run(few, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        told = "linodmgr: cannot take over the workers that live: Too many open files"
        assert told in done.stderr

    daemon.start()

    assert pids(daemon) == before
