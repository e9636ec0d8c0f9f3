"""What process managers have been seen to break, one promise each. For the whole at random see test_chaos.

That 1024 open files do for 500 sites stands in test_supervise_fleet, for it takes a while.
"""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.chaos.world import is_alive, processes_of
from tests.eventually import eventually
from tests.real.daemon_fixture import LINODMGR, Daemon
from tests.real.fake_clock import Clock
from tests.real.worker_sites import make_worker, site

CONTAINED = pytest.mark.parametrize("cgroup", ["on", "off"])


def begin(daemon: Daemon, worker: str, cgroup: str = "on", **keys: object) -> Daemon:
    """Return a running daemon with one site, "one", whose processes can be told by `tree`."""
    make_worker(daemon.home / "one", worker)
    marks = {"CHAOS_HOME": str(daemon.home), "CHAOS_SITE": "one"}
    daemon.configure(site(daemon.home / "one", environment=marks, **keys))
    daemon.start(environment={"LINODMGR_CGROUP": cgroup})
    return daemon


def tree(daemon: Daemon) -> list[int]:
    """Return the live processes of the site, wherever they went."""
    return processes_of({"one"}, daemon.home).get("one", [])


def again(daemon: Daemon, cgroup: str = "on") -> None:
    """Kill the daemon and start another one."""
    daemon.kill()
    daemon.start(environment={"LINODMGR_CGROUP": cgroup})


# Nothing doubled.


def test_workers_of_a_killed_daemon_are_taken_over_and_not_started_a_second_time(daemon: Daemon) -> None:
    begin(daemon, "waits")
    before = daemon.until("one", "RUNNING")

    again(daemon)

    after = daemon.until("one", "RUNNING")
    assert after["pid"] == before["pid"]
    assert after["restarts"] == before["restarts"]
    assert after["uptime"] >= before["uptime"]
    assert len(tree(daemon)) == 1


def test_a_worker_that_closed_all_its_descriptors_is_not_started_a_second_time(daemon: Daemon) -> None:
    begin(daemon, "closes_all")
    pid = daemon.until("one", "RUNNING")["pid"]
    eventually(lambda: "ready" in daemon.log("one"), "it has closed them")

    again(daemon)

    assert daemon.until("one", "RUNNING")["pid"] == pid
    assert tree(daemon) == [pid]


def test_two_daemons_with_different_directories_do_not_run_one_site_twice(
    daemon: Daemon, tmp_path: Path, runtime: Path
) -> None:
    begin(daemon, "closes_all")
    pid = daemon.until("one", "RUNNING")["pid"]
    eventually(lambda: "ready" in daemon.log("one"), "it has closed them")
    (runtime / "second").mkdir(mode=0o755)
    second = Daemon(runtime / "second")
    second.configure(site(daemon.home / "one", name="other"))
    try:
        second.start()
        blocked = second.until("other", "BLOCKED")
        assert f"pid {pid}" in blocked["reason"]
        assert tree(daemon) == [pid]
    finally:
        assert second.stop() == 0
    assert daemon.site("one")["pid"] == pid


def test_an_entry_with_another_name_does_not_run_its_directory_twice(daemon: Daemon) -> None:
    begin(daemon, "ignores_term", stop_timeout=1)
    pid = daemon.until("one", "RUNNING")["pid"]
    (daemon.home / "link").symlink_to(daemon.home / "one")
    marks = {"CHAOS_HOME": str(daemon.home), "CHAOS_SITE": "one"}
    daemon.configure(site(daemon.home / "link", name="other", environment=marks, stop_timeout=1))

    daemon.cli("reload")

    after = daemon.until("other", "RUNNING")
    assert after["pid"] != pid
    assert tree(daemon) == [after["pid"]]


# Nothing left.


@CONTAINED
def test_a_grandchild_in_a_session_of_its_own_does_not_outlive_a_stop(daemon: Daemon, cgroup: str) -> None:
    begin(daemon, "strays", cgroup)
    daemon.until("one", "RUNNING")
    eventually(lambda: len(tree(daemon)) == 2, "there are two")

    daemon.cli("stop", "one")

    assert not tree(daemon)


@CONTAINED
def test_a_grandchild_in_a_session_of_its_own_does_not_outlive_a_stop_by_the_next_daemon(
    daemon: Daemon, cgroup: str
) -> None:
    begin(daemon, "strays", cgroup)
    daemon.until("one", "RUNNING")
    eventually(lambda: len(tree(daemon)) == 2, "there are two")
    again(daemon, cgroup)

    daemon.cli("stop", "one")

    assert not tree(daemon)


@CONTAINED
def test_what_a_worker_that_dies_leaves_behind_is_ended_after_it_is_said(daemon: Daemon, cgroup: str) -> None:
    begin(daemon, "leaves_output", cgroup, backoff_max=1)
    eventually(lambda: daemon.log("one").count("ready") >= 3, "it was restarted")

    assert daemon.output.read_text().count("one: ending what its worker left behind: pid ") >= 2
    daemon.cli("stop", "one")
    eventually(lambda: not tree(daemon), "nothing is left")


@CONTAINED
def test_a_grandchild_that_holds_the_output_does_not_hide_the_end_of_its_parent(
    daemon: Daemon, cgroup: str
) -> None:
    begin(daemon, "leaves_output", cgroup, restart="never")

    assert "exited with status 1" in daemon.until("one", "STOPPED")["reason"]


# Nothing lost.


def test_a_worker_does_not_end_because_its_daemon_does(daemon: Daemon) -> None:
    begin(daemon, "waits")
    pid = daemon.until("one", "RUNNING")["pid"]
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]

    daemon.kill()

    assert is_alive(pid, started)
    daemon.start()
    assert daemon.until("one", "RUNNING")["pid"] == pid


def test_what_a_worker_says_while_no_daemon_lives_is_in_its_log(daemon: Daemon) -> None:
    make_worker(daemon.home / "one", "waits")
    (daemon.home / "one" / "manage.py").write_text(
        "import signal\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('said meanwhile', flush=True))\n"
        "print('ready', flush=True)\n"
        "while True: signal.pause()\n"
    )
    daemon.configure(site(daemon.home / "one"))
    daemon.start()
    pid = daemon.until("one", "RUNNING")["pid"]
    eventually(lambda: "ready" in daemon.log("one"), "it is ready")
    daemon.kill()
    os.kill(pid, signal.SIGUSR1)

    daemon.start()

    eventually(lambda: "said meanwhile" in daemon.log("one"), "it is there")


def test_a_hold_of_one_site_leaves_the_others_alone(daemon: Daemon) -> None:
    for name in ("one", "two"):
        make_worker(daemon.home / name, "waits")
    daemon.configure(site(daemon.home / "one") + site(daemon.home / "two"))
    daemon.start()
    before = {name: daemon.until(name, "RUNNING")["pid"] for name in ("one", "two")}

    seen = daemon.cli("hold", "one", "--", LINODMGR, "status", "--json").stdout

    during = {one["name"]: one for one in json.loads(seen[seen.index("{") : seen.rindex("}") + 1])["sites"]}
    assert during["one"]["pid"] is None
    assert during["two"]["pid"] == before["two"]
    assert daemon.until("one", "RUNNING")["pid"] != before["one"]
    assert daemon.site("two")["pid"] == before["two"]


def test_the_last_words_of_a_worker_that_ends_during_an_upgrade_are_in_its_log(daemon: Daemon) -> None:
    begin(daemon, "ends_in_an_upgrade", restart="never")
    eventually(lambda: "ready" in daemon.log("one"), "it is ready")

    daemon.cli("upgrade")

    daemon.until("one", "STOPPED")
    assert daemon.log("one").splitlines()[-1].endswith("last words")


@pytest.mark.needs("faketime")
@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_is_set_holds_up_nobody(daemon: Daemon, days: int) -> None:
    clock = Clock(daemon.home)
    make_worker(daemon.home / "one", "waits")
    daemon.configure(site(daemon.home / "one"))
    daemon.start(environment=clock.environment)
    before = daemon.until("one", "RUNNING")["pid"]

    clock.shift(days * 86400)
    os.kill(before, signal.SIGKILL)

    eventually(lambda: daemon.site("one")["pid"] not in (before, None), "it is there again")
    assert daemon.until("one", "RUNNING")["uptime"] < 60
    daemon.cli("stop", "one")


@pytest.mark.root
def test_no_worker_is_put_where_another_one_was_killed(daemon: Daemon) -> None:
    begin(daemon, "ignores_term", stop_timeout=1)
    before = daemon.until("one", "RUNNING")["pid"]
    place = Path(f"/proc/{before}/cgroup").read_text()

    daemon.cli("restart", "one")

    after = daemon.until("one", "RUNNING")["pid"]
    assert after != before
    other = Path(f"/proc/{after}/cgroup").read_text()
    assert other != place or "/linodmgr/" not in place
