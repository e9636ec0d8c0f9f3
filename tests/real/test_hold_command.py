"""``linodmgr hold``: the command runs while its sites are stopped, whatever becomes of everything else."""

import doctest
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from linodmgr.cli import hold
from linodmgr.protocol import Refused
from tests.eventually import eventually
from tests.fake_daemon import LINODMGR, configure, fake_daemon, linodmgr
from tests.real.asking import pid_of, sites, until
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site


@pytest.fixture
def noi(daemon: Daemon, runtime: Path) -> Daemon:
    """A running site."""
    daemon.configure(site(make_worker(runtime / "noi", "waits")))
    daemon.start()
    pid_of(daemon, "noi")
    return daemon


@contextmanager
def holding(daemon: Daemon, *command: str) -> Iterator["subprocess.Popen[str]"]:
    """Yield ``linodmgr hold noi -- command`` while it goes on."""
    process = subprocess.Popen(
        [LINODMGR, "--config", str(daemon.config), "hold", "noi", "--", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def command_of(process: "subprocess.Popen[str]") -> psutil.Process:
    """Return the process that runs the command, once it does."""

    def found() -> psutil.Process | None:
        children = psutil.Process(process.pid).children()
        return children[0] if children and children[0].name() == "sleep" else None

    child = eventually(found, "the command runs")
    assert child is not None
    return child


def test_the_examples_are_true() -> None:
    assert doctest.testmod(hold).failed == 0


def test_it_runs_while_the_site_is_stopped_and_ends_as_it_ends(noi: Daemon, runtime: Path) -> None:
    before = sites(noi)["noi"].pid
    seen = f"{LINODMGR} --config {noi.config} status; cat; exit 7"

    with holding(noi, "sh", "-c", seen) as process:
        said, problems = process.communicate("what is piped in\n")

    assert process.returncode == 7
    assert "STOPPED" in said
    assert f"held for 'sh -c '{LINODMGR}"[:30] in said
    assert said.endswith("what is piped in\n"), "standard output belongs to the command"
    assert problems == ""
    after = sites(noi)["noi"]
    assert after.state == "RUNNING"
    assert after.pid != before


def test_what_had_ended_by_itself_is_not_started_again_unless_somebody_wants_it(
    daemon: Daemon, runtime: Path
) -> None:
    directory = make_worker(runtime / "noi", "exits")
    daemon.configure(site(directory, restart="never", environment={"STATUS": "0"}))
    daemon.start()
    until(daemon, "noi", "STOPPED")

    daemon.cli("hold", "noi", "--", "true")

    assert (runtime / "log" / "noi.log").read_text().count("ready") == 1
    assert sites(daemon)["noi"].state == "STOPPED"
    start_it = f"{LINODMGR} --config {daemon.config} start noi; true"
    daemon.cli("hold", "noi", "--", "sh", "-c", start_it)
    until(daemon, "noi", "STOPPED")
    assert (runtime / "log" / "noi.log").read_text().count("ready") == 2


def test_it_ends_as_shells_do(noi: Daemon) -> None:
    noi.cli("hold", "noi", "true")
    noi.cli("hold", "noi", "--", "sh", "-c", "kill -9 $$", code=137)

    assert sites(noi)["noi"].state == "RUNNING"


def test_no_worker_is_stopped_for_a_command_that_cannot_be_run(noi: Daemon) -> None:
    pid = pid_of(noi, "noi")

    not_found = noi.cli("hold", "noi", "no-such-command", code=127)
    not_executable = noi.cli("hold", "noi", "/etc/passwd", code=126)

    assert not_found.stderr == "linodmgr: cannot run 'no-such-command': no such command\n"
    assert not_executable.stderr == "linodmgr: cannot run '/etc/passwd': it is not executable\n"
    assert pid_of(noi, "noi") == pid


def test_a_command_whose_interpreter_is_missing_ends_as_shells_say(noi: Daemon, runtime: Path) -> None:
    script = runtime / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)

    done = noi.cli("hold", "noi", "--", str(script), code=127)

    assert f"linodmgr: cannot run '{script}': No such file or directory" in done.stderr
    assert sites(noi)["noi"].state == "RUNNING"


def test_neither_the_end_of_the_command_line_nor_of_the_daemon_ends_a_hold(noi: Daemon) -> None:
    with holding(noi, "sleep", "1000") as process:
        command = command_of(process)
        process.kill()
    noi.kill()
    noi.start()
    held = sites(noi)["noi"]
    assert (held.state, held.reason) == ("STOPPED", f"held for 'sleep 1000' (pid {command.pid})")

    command.kill()

    until(noi, "noi", "RUNNING")


def test_a_daemon_that_ends_in_order_holds_again_when_it_comes_back(noi: Daemon) -> None:
    with holding(noi, "sleep", "1000") as process:
        command = command_of(process)
        assert noi.stop() == 0
        noi.start()
        assert sites(noi)["noi"].state == "STOPPED"
        command.kill()
        _, problems = process.communicate()

    assert process.returncode == 137
    assert problems == ""
    assert sites(noi)["noi"].state == "RUNNING"


def test_what_is_sent_to_it_alone_is_passed_on(noi: Daemon) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        with holding(noi, "sleep", "1000") as process:
            command_of(process)
            process.send_signal(number)
            process.communicate()

        assert process.returncode == 128 + number
        assert sites(noi)["noi"].state == "RUNNING"


def test_ctrl_c_is_the_commands(noi: Daemon, runtime: Path) -> None:
    script = f"trap 'exit 3' INT; touch {runtime}/there; while :; do sleep 1000 & wait; done"
    with holding(noi, "sh", "-c", script) as process:
        eventually((runtime / "there").exists, "the command runs")
        shell = psutil.Process(process.pid).children()[0]
        sleeping = eventually(lambda: [one for one in shell.children() if one.name() == "sleep"], "it waits")
        for pid in (process.pid, shell.pid):
            os.kill(pid, signal.SIGINT)
        eventually(lambda: not shell.is_running() or shell.status() == "zombie", "it ends by itself")
        for one in sleeping:
            one.kill()
        process.communicate()

    assert process.returncode == 3


def test_a_command_that_is_interrupted_before_it_began_is_not_run(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "noi", "ignores_term"), stop_timeout=60))
    daemon.start()
    pid = pid_of(daemon, "noi")
    with holding(daemon, "touch", str(runtime / "run-it")) as process:
        until(daemon, "noi", "STOPPING")

        process.send_signal(signal.SIGINT)
        process.communicate()

    assert process.returncode == 130
    os.kill(pid, signal.SIGKILL)
    until(daemon, "noi", "RUNNING")
    assert not (runtime / "run-it").exists()
    daemon.cli("stop", "--now")


def test_a_site_that_is_released_meanwhile_is_not_held(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "noi", "ignores_term"), stop_timeout=60))
    daemon.start()
    pid = pid_of(daemon, "noi")
    with holding(daemon, "touch", str(runtime / "run-it")) as process:
        until(daemon, "noi", "STOPPING")
        daemon.cli("release", "--no-wait", "noi")
        os.kill(pid, signal.SIGKILL)
        _, problems = process.communicate()

    assert process.returncode == 125
    assert "linodmgr: cannot hold noi: it is not stopped: 'touch' was not run\n" in problems
    assert not (runtime / "run-it").exists()
    daemon.cli("stop", "--now")


def test_what_the_daemon_refuses_is_not_run(runtime: Path) -> None:
    with fake_daemon(runtime, Refused("cannot hold noi: no", 1)):
        done = linodmgr(runtime, "hold", "noi", "--", "touch", str(runtime / "run-it"))

    assert done.returncode == 125
    assert done.stderr == "linodmgr: cannot hold noi: no: 'touch' was not run\n"
    assert not (runtime / "run-it").exists()


def test_without_a_daemon_nothing_is_run(runtime: Path) -> None:
    done = linodmgr(configure(runtime), "hold", "noi", "touch", str(runtime / "run-it"))

    assert done.returncode == 125
    assert done.stderr.startswith("linodmgr: cannot reach the daemon at ")
    assert not (runtime / "run-it").exists()


@pytest.mark.parametrize(
    "words", [[], ["noi"], ["noi", "--"], ["--", "true"], ["noi", "--", ""], ["noi", ""]], ids=str
)
def test_sites_and_a_command_must_be_said(runtime: Path, words: list[str]) -> None:
    done = linodmgr(configure(runtime), "hold", *words)

    assert (done.returncode, done.stderr) == (
        2,
        "linodmgr: cannot hold sites: say SITE... -- COMMAND...\n",
    )


def test_the_release_of_a_held_site_starts_it(noi: Daemon) -> None:
    with holding(noi, "sleep", "1000") as process:
        command = command_of(process)
        assert noi.cli("start", "noi", code=1).stdout == (
            f"noi: STOPPED: held for 'sleep 1000' (pid {command.pid}): "
            "starts when it has ended, or with linodmgr release noi\n"
        )

        said = noi.cli("release", "noi").stdout

        assert said.startswith("noi: RUNNING (pid ")
        command.kill()
        process.communicate()
