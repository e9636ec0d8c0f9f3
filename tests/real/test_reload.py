"""A reload touches only what has changed, says what it did, and keeps the old configuration if it must."""

import os
import pwd
import signal
import threading
from pathlib import Path

import psutil
import pytest

from linodmgr.cli.client import Refusal
from linodmgr.protocol import Reload
from tests.eventually import eventually
from tests.real.asking import ask, done, pid_of, ready, sites, stop, until
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site


def lines(daemon: Daemon) -> list[str]:
    """Return what a reload says that it did."""
    return done(daemon, Reload()).lines


def is_alive(pid: int) -> bool:
    """Whether it is a process that runs, so no zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def one(runtime: Path) -> Path:
    return make_worker(runtime / "one", "waits")


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({"stop_timeout": 4}, "stop_timeout"),
        ({"settle": 0.3}, "settle"),
        ({"good_run": 1, "backoff_max": 3}, "good_run, backoff_max"),
        ({"restart": "never"}, "restart"),
        ({"start_timeout": 100}, "start_timeout"),
        ({"log_keep": 3}, "log_keep"),
        ({"log_time": False}, "log_time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_needs_no_restart_takes_effect_without_one(
    daemon: Daemon, one: Path, keys: dict[str, object], field: str
) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")

    daemon.configure(site(one, **keys))

    assert lines(daemon) == [f"one: changed ({field})", "0 unchanged"]
    after = sites(daemon)["one"]
    assert (after.pid, after.restarts, after.state) == (pid, 0, "RUNNING")


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({"umask": "077"}, "umask"),
        ({"environment": {"A": "b"}}, "environment"),
        ({"arguments": ["linod", "--force"]}, "arguments"),
        ({"stop_signal": "SIGINT"}, "stop_signal"),
        ({"open_files": 512}, "open_files"),
        ({"nice": 5}, "nice"),
        ({"umask": "077", "stop_timeout": 4}, "umask, stop_timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_process_is_started_with_needs_a_new_one(
    daemon: Daemon, one: Path, keys: dict[str, object], field: str
) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")

    daemon.configure(site(one, **keys))

    told = done(daemon, Reload())
    assert sorted(told.lines[0].removeprefix("one: restarted (").removesuffix(")").split(", ")) == sorted(
        field.split(", ")
    )
    [result] = told.results
    assert (result.state, result.ok) == ("RUNNING", True)
    assert result.pid not in (None, pid)
    assert not is_alive(pid)


@pytest.mark.root
def test_another_user_needs_a_new_process(daemon: Daemon, user: pwd.struct_passwd, runtime: Path) -> None:
    project = make_worker(runtime / "one", "waits", python="/usr/bin/python3")
    daemon.configure(site(project))
    daemon.start()
    pid_of(daemon, "one")

    daemon.configure(site(project, user=user.pw_name))

    told = done(daemon, Reload())
    assert told.lines[0] == "one: restarted (identity)"
    assert os.stat(f"/proc/{told.results[0].pid}").st_uid == user.pw_uid


def test_what_is_no_longer_configured_is_stopped_and_forgotten(
    daemon: Daemon, runtime: Path, one: Path
) -> None:
    two = make_worker(runtime / "two", "waits")
    daemon.configure(site(one) + site(two))
    daemon.start()
    pid, other = pid_of(daemon, "one"), pid_of(daemon, "two")

    daemon.configure(site(two))
    told = done(daemon, Reload())

    assert told.lines == ["one: removed", "1 unchanged"]
    assert told.results == []
    assert not is_alive(pid)
    assert {name: status.pid for name, status in sites(daemon).items()} == {"two": other}


def test_what_is_removed_and_comes_back_while_it_stops_is_started_again(
    daemon: Daemon, runtime: Path
) -> None:
    project = make_worker(runtime / "one", "ignores_term")
    daemon.configure(site(project, stop_timeout=1))
    daemon.start()
    pid = ready(daemon, "one")
    daemon.configure("")
    assert done(daemon, Reload(wait=False)).lines == ["one: removed", "0 unchanged"]

    daemon.configure(site(project, stop_timeout=1))
    told = done(daemon, Reload())

    assert told.lines == ["one: added", "0 unchanged"]
    assert told.results[0].state == "RUNNING"
    assert told.results[0].pid not in (None, pid)


def test_a_site_that_is_renamed_waits_for_its_old_worker_and_then_runs(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "ignores_term")
    daemon.configure(site(project, stop_timeout=0.5))
    daemon.start()
    pid = ready(daemon, "one")

    daemon.configure(site(project, name="uno", stop_timeout=0.5))
    told = done(daemon, Reload())

    assert told.lines == ["uno: added", "one: removed", "0 unchanged"]
    [result] = told.results
    assert (result.site, result.state, result.ok) == ("uno", "RUNNING", True)
    assert not is_alive(pid)


def test_two_sites_that_swap_their_directories_both_run(daemon: Daemon, runtime: Path, one: Path) -> None:
    two = make_worker(runtime / "two", "ignores_term")
    daemon.configure(site(one, name="a", stop_timeout=0.5) + site(two, name="b", stop_timeout=0.5))
    daemon.start()
    before = {ready(daemon, "a"), ready(daemon, "b")}

    daemon.configure(site(one, name="b", stop_timeout=0.5) + site(two, name="a", stop_timeout=0.5))
    told = done(daemon, Reload())

    assert sorted(told.lines) == ["0 unchanged", "a: restarted (directory)", "b: restarted (directory)"]
    assert [result.state for result in told.results] == ["RUNNING", "RUNNING"]
    assert not any(map(is_alive, before))


def test_enabled_can_be_taken_back_and_given_again(daemon: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")

    daemon.configure(site(one, enabled=False))
    off = done(daemon, Reload())
    assert off.lines[0] == "one: changed (enabled)"
    assert [(result.state, result.ok) for result in off.results] == [("STOPPED", True)]
    assert not is_alive(pid)
    assert sites(daemon)["one"].reason == "enabled = false in the configuration"

    daemon.configure(site(one))
    assert done(daemon, Reload()).results[0].state == "RUNNING"


def test_a_site_stopped_by_hand_stays_so_whatever_changes(daemon: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid_of(daemon, "one")
    stop(daemon, "one")

    daemon.configure(site(one, umask="077"))

    assert lines(daemon) == ["one: changed (umask)", "0 unchanged"]
    assert sites(daemon)["one"].state == "STOPPED"


def test_a_mistake_in_one_site_blocks_it_and_leaves_the_others_alone(
    daemon: Daemon, runtime: Path, one: Path
) -> None:
    two = make_worker(runtime / "two", "waits")
    daemon.configure(site(one) + site(two))
    daemon.start()
    pid_of(daemon, "one")
    other = pid_of(daemon, "two")

    daemon.configure(site(one, umask=22) + site(two))
    told = done(daemon, Reload())
    assert any("site.one.umask: must be" in line for line in told.lines)
    assert [(result.site, result.state) for result in told.results] == [("one", "BLOCKED")]
    assert "umask: must be" in str(sites(daemon)["one"].reason)

    daemon.configure(site(one) + site(two))
    assert done(daemon, Reload()).results[0].state == "RUNNING"
    assert sites(daemon)["two"].pid == other


@pytest.mark.parametrize("text", ["[[site]\n", "\0", "[defaults]\nusre = 'x'\n", "[[site]]\numask = '\n"])
def test_what_cannot_be_used_changes_nothing(daemon: Daemon, one: Path, text: str) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")
    daemon.configure(text)

    with pytest.raises(Refusal) as refused:
        ask(daemon, Reload())
    assert refused.value.exit_code == 78
    assert "sites.toml" in str(refused.value)

    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: daemon.said().count("the old configuration is kept") == 2, "the signal is heard")
    assert sites(daemon)["one"].pid == pid
    daemon.configure(site(one))
    assert lines(daemon) == ["1 unchanged"]


def test_the_signal_reloads_like_the_command(daemon: Daemon, runtime: Path, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")
    daemon.configure(site(one) + site(make_worker(runtime / "two", "waits")))

    os.kill(daemon.pid, signal.SIGHUP)

    eventually(lambda: "two" in sites(daemon), "it is there")
    until(daemon, "two", "RUNNING")
    assert sites(daemon)["one"].pid == pid


def test_many_reloads_at_the_same_time_all_say_the_truth(daemon: Daemon, runtime: Path, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")
    daemon.configure(site(one) + site(make_worker(runtime / "two", "waits")))
    told: list[list[str]] = []

    crowd = [threading.Thread(target=lambda: told.append(lines(daemon))) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()

    assert sorted(told) == [["2 unchanged"]] * 7 + [["two: added", "1 unchanged"]]
    assert sites(daemon)["one"].pid == pid


def test_a_reload_in_the_middle_of_the_end_starts_nothing(daemon: Daemon, runtime: Path) -> None:
    slow = make_worker(runtime / "slow", "ignores_term")
    more = [make_worker(runtime / f"more{number}", "waits") for number in range(5)]
    daemon.configure(site(slow, stop_timeout=1))
    daemon.start()
    ready(daemon, "slow")
    daemon.configure(site(slow, stop_timeout=1) + "".join(map(site, more)))

    os.kill(daemon.pid, signal.SIGHUP)
    os.kill(daemon.pid, signal.SIGTERM)

    assert daemon.stop() == 0
    assert "more0: STARTING" not in daemon.said() or "more0: STOPPED" in daemon.said()


def test_what_takes_effect_only_at_the_next_start_is_said(daemon: Daemon, one: Path) -> None:
    daemon.configure(site(one))
    daemon.start()
    daemon.configure(site(one), daemon="starts_at_once = 7")
    assert lines(daemon) == ["1 unchanged"]

    text = daemon.config.read_text().replace("/log", "/protocol")
    daemon.config.write_text(text)

    assert lines(daemon)[-1] == "[daemon]: directories and group take effect when the daemon is started again"
