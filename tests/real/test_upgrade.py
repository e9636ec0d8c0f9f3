"""The daemon becomes another version in place: nothing that goes on notices."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from linodmgr import __version__
from linodmgr.protocol import Stop
from tests.eventually import eventually
from tests.real import jobs_asked
from tests.real.asking import done, pid_of, sites, until
from tests.real.daemon_fixture import LINODMGR, Daemon
from tests.real.installed import VERSION, Installed
from tests.real.upgrades import children, descriptors, upgrade
from tests.real.worker_sites import make_worker, site

COUNTS = """\
# execute_from_command_line is called by others
import os, time
import schedule

def counts():
    number = 0
    while not os.path.exists("go") or number < 1000:
        print("number", number, flush=True)
        number += 1
        time.sleep(0.0005)
    print("all", number, flush=True)

schedule.every(1).seconds.do(counts)
while True:
    schedule.run_pending()
    time.sleep(0.01)
"""
DELAY = re.compile(r"dies: BACKOFF.*next try in (\d+) s")
REASONS = {
    "this is no Python": "SyntaxError: invalid syntax",
    "raise SystemExit(3)": "the new version ended with status 3",
    "import os\nos.kill(os.getpid(), 9)": "the new version was ended by signal 9",
    "def pack(value): ...\ndef worker(packed): raise ValueError('too old')": "is not understood: too old",
    "import os\nos._exit(0)": "the new version does not say that it has understood anything",
    "x = (": "/values.py\", line 1: SyntaxError: '(' was never closed",
}


def test_a_job_and_its_output_go_on_over_several_upgrades(daemon: Daemon, runtime: Path) -> None:
    place = make_worker(runtime / "one", "waits")
    (place / "manage.py").write_text(COUNTS)
    daemon.configure(site(place))
    daemon.start()
    jobs_asked.job(daemon, "one", "counts", state="running")
    before = daemon.site("one")

    with subprocess.Popen(
        [LINODMGR, "run", "one", "counts"], env=daemon._environment(), stdout=subprocess.PIPE, text=True
    ) as follower:
        for _ in range(3):
            upgrade(daemon)
        assert jobs_asked.jobs(daemon, "one")["counts"]["state"] == "running"
        (place / "go").touch()
        said = follower.communicate(timeout=30)[0]

    assert follower.returncode == 0, said
    after = daemon.site("one")
    assert (after["pid"], after["restarts"], after["state"]) == (before["pid"], 0, "RUNNING")
    assert after["uptime"] > before["uptime"]
    job = jobs_asked.job(daemon, "one", "counts", outcome="ok")
    assert job["error"] is None
    daemon.cli("stop")
    log = daemon.log("one")
    runs = re.findall(r"number (\d+)$|all (\d+)$", log, re.MULTILINE)
    numbers = iter(runs)
    ended = 0
    while (pair := next(numbers, None)) is not None:
        expected = 0
        while pair is not None and pair[0]:
            assert int(pair[0]) == expected
            expected += 1
            pair = next(numbers, None)
        if pair is not None:
            assert int(pair[1]) == expected
            ended += 1
    assert ended >= 2
    assert "resumed" not in daemon.said()
    history = json.loads(daemon.cli("history", "one", "--json").stdout)
    assert {run["outcome"] for run in history["runs"]} <= {"ok", "failed"}


def test_it_runs_what_is_installed_now_and_the_command_says_when_it_does_not(
    daemon: Daemon, runtime: Path
) -> None:
    installed = Installed(runtime)
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    installed.serve(daemon)
    pid = pid_of(daemon, "one")
    assert daemon.cli("status").stderr == ""
    installed.next()

    told = daemon.cli("upgrade")

    assert f"the daemon runs version {VERSION} now, {__version__} before" in told.stdout
    assert "it is installed in another place" in told.stderr
    hint = f"linodmgr: daemon runs {VERSION}, this is {__version__}: linodmgr upgrade\n"
    assert daemon.cli("status").stderr == hint
    assert daemon.cli("start", "one").stderr == hint
    assert daemon.cli("list", code=(0, 1)).stderr == hint
    assert json.loads(daemon.cli("status", "--json").stdout)["version"] == VERSION
    assert pid_of(daemon, "one") == pid
    assert children(daemon) == [pid]


def test_what_does_not_work_is_refused_and_the_daemon_goes_on(daemon: Daemon, runtime: Path) -> None:
    installed = Installed(runtime)
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    installed.serve(daemon)
    pid = pid_of(daemon, "one")
    configuration = daemon.config.read_text()
    worker = installed.package / "daemon" / "values.py"
    code = worker.read_text()

    daemon.configure("[defaults]\nusre = 1\n", daemon="starts_at_once = -1\n")
    refused = daemon.cli("upgrade", code=78).stderr
    assert "starts_at_once: must be 0 or more" in refused
    assert "unknown key 'usre'" in refused
    assert refused.endswith("linodmgr: the daemon goes on as it is\n")

    daemon.config.write_text(configuration)
    for text, reason in REASONS.items():
        worker.write_text(text)
        refused = daemon.cli("upgrade", code=1).stderr
        assert refused.startswith("linodmgr: cannot upgrade: ")
        assert refused.rstrip().endswith(reason)
        assert children(daemon) == [pid]

    assert "becoming" not in daemon.said()
    assert "Traceback" not in daemon.said()
    worker.write_text(code)
    daemon.cli("upgrade")
    assert pid_of(daemon, "one") == pid


def test_what_the_configuration_says_by_now_is_done(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid = pid_of(daemon, "one")
    daemon.configure(site(runtime / "one") + site(make_worker(runtime / "two", "waits")))

    told = daemon.cli("upgrade").stdout

    assert "two: added" in told
    assert "two: RUNNING" in told
    assert pid_of(daemon, "one") == pid


def test_backoff_and_goals_are_as_before(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(
        site(make_worker(runtime / "dies", "exits"), backoff_max=60, good_run=60)
        + site(make_worker(runtime / "stopped", "waits"))
        + site(runtime / "lacks")
        + site(make_worker(runtime / "idle", "waits"), enabled=False)
    )
    daemon.start()
    done(daemon, Stop(("stopped",)))
    eventually(lambda: sites(daemon)["dies"].restarts >= 2, "it has died twice")
    until(daemon, "dies", "BACKOFF")

    upgrade(daemon)

    after = sites(daemon)
    assert after["dies"].restarts >= 2
    assert (after["stopped"].state, after["stopped"].goal) == ("STOPPED", "DOWN")
    assert after["lacks"].state == "BLOCKED"
    assert after["idle"].state == "STOPPED"
    delays = eventually(lambda: DELAY.findall(daemon.said().rpartition("INFO serving")[2]), "it dies again")
    assert int(delays[0]) >= 4, "after the third death in a row"


def test_how_a_worker_ends_is_still_known_and_counted_on(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits"), good_run=0.1, backoff_max=60))
    daemon.start()
    os.kill(pid_of(daemon, "one"), signal.SIGUSR2)
    eventually(lambda: sites(daemon)["one"].restarts == 1, "it has been restarted")
    pid = pid_of(daemon, "one")
    before = len(descriptors(daemon))
    upgrade(daemon)
    upgrade(daemon)
    eventually(lambda: len(descriptors(daemon)) <= before, "nothing more is open than before")
    assert sites(daemon)["one"].restarts == 1

    os.kill(pid, signal.SIGUSR1)

    eventually(lambda: f"one: killed by SIGUSR1 (pid {pid})" in daemon.said(), "its end is told")
    assert pid_of(daemon, "one") != pid
    assert sites(daemon)["one"].restarts == 2


def test_a_state_that_is_not_understood_is_no_reason_not_to_run(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    garbage = runtime / "garbage"
    garbage.write_bytes(b"\x80garbage")
    with garbage.open("rb") as file, daemon.output.open("ab") as output:
        os.set_inheritable(file.fileno(), True)
        daemon.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "linodmgr.daemon", "--config", str(daemon.config)),
                *("--take-over", str(file.fileno())),
            ],
            pass_fds=[file.fileno()],
            stdout=output,
            stderr=output,
            cwd=runtime.parent,
        )
    eventually(daemon._answers, "the daemon answers")

    assert "cannot take over from the daemon before" in daemon.said()
    assert pid_of(daemon, "one")
