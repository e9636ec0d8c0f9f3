"""The end of the daemon, and its beginning in surroundings that it did not choose."""

import json
import os
import re
import signal
import socket
import sys
import threading
from pathlib import Path

import psutil
import pytest

from linodmgr.protocol import Answer, Done, Refused, Start, Stop
from tests.eventually import eventually
from tests.real.asking import pid_of, sites, stop, until
from tests.real.control_desk import hear, say
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site

# Ways in which a daemon may be started; its command follows.
IGNORING = """\
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGQUIT, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP})
os.execvp(sys.argv[1], sys.argv[1:])
"""
INTO_A_BROKEN_PIPE = """\
import os, sys
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
os.dup2(writer, 2)
os.execvp(sys.argv[1], sys.argv[1:])
"""
WITHOUT_STREAMS = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
IN_A_LOST_DIRECTORY = ("sh", "-c", 'cd "$(mktemp -d)" && rmdir "$PWD" && exec "$@"', "sh")


def is_alive(pid: int) -> bool:
    """Whether it is a process that runs, so no zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_in_order(daemon: Daemon, runtime: Path, number: signal.Signals) -> None:
    names = ["one", "two", "three"]
    daemon.configure("".join(site(make_worker(runtime / name, "waits")) for name in names))
    daemon.start()
    pids = [pid_of(daemon, name) for name in names]
    assert daemon.process is not None

    daemon.process.send_signal(number)

    assert daemon.process.wait() == 0
    assert not any(map(is_alive, pids))
    assert sorted(path.name for path in (runtime / "run").iterdir() if path.is_socket()) == []
    assert daemon.said().rstrip().endswith("INFO stopped")
    assert "Traceback" not in daemon.said()


def test_the_command_stops_everything_and_waits_for_it(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid = pid_of(daemon, "one")

    daemon.cli("stop", "--daemon")

    assert not is_alive(pid)
    assert daemon.process is not None
    assert daemon.process.wait() == 0


def test_who_ignores_the_stop_is_killed_with_its_group(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(
        site(make_worker(runtime / "deaf", "deaf_family"), stop_timeout=0.5)
        + site(make_worker(runtime / "good", "waits"), stop_timeout=60)
    )
    daemon.start()
    pid = pid_of(daemon, "deaf")
    pid_of(daemon, "good")
    child = int(
        eventually(lambda: re.findall(r"^child (\d+)$", daemon.log("deaf"), re.MULTILINE), "a child")[0]
    )

    assert daemon.stop() == 0

    assert not is_alive(pid)
    eventually(lambda: not is_alive(child), "the child has gone, too")
    assert f"deaf: killing pid {pid}" in daemon.said()
    assert "good: killing" not in daemon.said()


def test_a_second_signal_changes_nothing(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "ignores_term"), stop_timeout=0.5))
    daemon.start()
    pid_of(daemon, "one")

    for _ in range(5):
        os.kill(daemon.pid, signal.SIGTERM)
        os.kill(daemon.pid, signal.SIGHUP)

    assert daemon.stop() == 0
    assert daemon.said().count("stopping everything") == 1


def test_nobody_is_started_any_more_once_it_stops(daemon: Daemon, runtime: Path) -> None:
    names = [f"site{number}" for number in range(10)]
    daemon.configure(
        "".join(
            site(make_worker(runtime / name, "ignores_term"), stop_timeout=0.5, settle=60) for name in names
        ),
        daemon="starts_at_once = 1",
    )
    daemon.start()
    until(daemon, "site0", "STARTING")

    assert daemon.stop() == 0

    _, after = daemon.said().split("stopping everything")
    assert "STARTING" not in after


def test_sites_without_a_process_hold_nobody_up(daemon: Daemon, runtime: Path) -> None:
    dies = make_worker(runtime / "dies", "exits")
    lost = make_worker(runtime / "lost", "waits")
    (lost / "manage.py").unlink()
    daemon.configure(
        site(dies, backoff_max=60, stop_timeout=60)
        + site(lost, backoff_max=60, stop_timeout=60)
        + site(runtime / "nowhere")
        + site(make_worker(runtime / "off", "waits"), enabled=False)
    )
    daemon.start()
    until(daemon, "dies", "BACKOFF")
    until(daemon, "lost", "BLOCKED")

    assert daemon.stop() == 0


def test_clients_hear_how_it_ends(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "ignores_term"), stop_timeout=1, settle=60))
    daemon.start()
    eventually(lambda: "ready" in daemon.log("one"), "it ignores the signal, and is STARTING")
    heard: dict[str, list[Answer]] = {}

    def listen(name: str, connection: socket.socket) -> None:
        with connection:
            heard[name] = hear(connection)

    connections = {name: connect(daemon) for name in ("start", "stop", "late", "silent")}
    say(connections["start"], Start())
    say(connections["stop"], Stop(daemon=True))
    until(daemon, "one", "STOPPING")
    say(connections["late"], Start())
    threads = [threading.Thread(target=listen, args=pair) for pair in connections.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for name in ("start", "stop"):
        last = heard[name][-1]
        assert isinstance(last, Done)
        assert [result.state for result in last.results] == ["STOPPED"]
    assert heard["late"] == [Refused("cannot start: the daemon is stopping")]
    assert heard["silent"] == []
    assert daemon.stop() == 0


def connect(daemon: Daemon) -> socket.socket:
    """Return a connection to the control socket."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(30.0)
    connection.connect(str(daemon.home / "run" / "control"))
    return connection


def test_sockets_that_a_killed_daemon_left_are_in_nobodys_way(daemon: Daemon) -> None:
    daemon.configure("")
    daemon.start()
    daemon.kill()
    assert (daemon.home / "run" / "control").is_socket()

    daemon.start()

    assert sites(daemon) == {}


def test_a_daemon_without_standard_streams_gives_its_workers_theirs(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "shows_itself")
    project.chmod(0o777)
    daemon.configure(site(project))
    daemon.start(*WITHOUT_STREAMS)
    until(daemon, "one", "RUNNING")

    eventually((project / "seen.json").exists, "it writes")
    seen = json.loads((project / "seen.json").read_text())
    pipe = str(runtime / "run" / "output" / "one")
    assert [seen["descriptors"][number] for number in "012"] == ["/dev/null", pipe, pipe]
    assert "another one (pid" in daemon.cli("start", "--foreground", code=1).stderr, "the lock is whole"


def test_a_daemon_does_not_hand_on_what_it_was_made_to_ignore(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "shows_itself")
    dies = make_worker(runtime / "dies", "exits")
    daemon.configure(site(project) + site(dies, environment={"STATUS": "7"}, backoff_max=60))
    daemon.start(sys.executable, "-c", IGNORING)
    until(daemon, "one", "RUNNING")

    eventually((project / "seen.json").exists, "it writes")
    seen = json.loads((project / "seen.json").read_text())
    assert (seen["ignored"], seen["blocked"]) == (["SIGPIPE", "SIGXFSZ"], [])
    assert "exited with status 7" in str(until(daemon, "dies", "BACKOFF").reason)
    daemon.configure(site(project))
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: list(sites(daemon)) == ["one"], "it reloads when told to hang up")


def test_a_daemon_may_be_started_in_a_directory_that_is_gone(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start(*IN_A_LOST_DIRECTORY)

    pid_of(daemon, "one")
    assert os.readlink(f"/proc/{daemon.pid}/cwd") == "/"


def test_a_daemon_whose_words_nobody_reads_goes_on(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start(sys.executable, "-c", INTO_A_BROKEN_PIPE)
    pid = pid_of(daemon, "one")

    stop(daemon, "one")

    assert not is_alive(pid)
    assert daemon.stop() == 0


def test_a_daemon_with_20_workers_that_run_does_not_wake_up(daemon: Daemon, runtime: Path) -> None:
    names = [f"site{number}" for number in range(20)]
    daemon.configure(
        "".join(site(make_worker(runtime / name, "waits")) for name in names), daemon="starts_at_once = 0"
    )
    daemon.start()
    for name in names:
        pid_of(daemon, name)
    readings: list[int] = []

    def is_still() -> bool:
        readings.append(wake_ups(daemon.pid))
        return readings.count(readings[-1]) > 200

    eventually(is_still, "it has not woken up between 200 looks at it", limit=30.0)


def wake_ups(pid: int) -> int:
    """Return how often any thread of the process has waited for something."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(
        int(n) for text in texts for n in re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)
    )
