"""The files of a running daemon are replaced, or are gone: it has all that it needs."""

import re
from pathlib import Path

import psutil
import pytest

from linodmgr.cli.client import Refusal
from linodmgr.protocol import History, Jobs, ListJobs, Reload, Restart, RunJob, Start, Status, Stop
from tests.eventually import eventually
from tests.real import jobs_asked
from tests.real.asking import ask, done, pid_of, sites, until
from tests.real.daemon_fixture import Daemon
from tests.real.installed import Installed
from tests.real.worker_sites import make_worker, site

FAILS = """\
# execute_from_command_line is called by others
import time
import schedule

def fails():
    print(("x" * 60 + "\\n") * 3000, end="no newline at the end", flush=True)
    raise ValueError("no")

def hangs():
    time.sleep(1000)

schedule.every(1).hours.do(fails)
schedule.every(1).hours.do(hangs)
while True:
    schedule.run_pending()
    time.sleep(0.01)
"""
IMPORTED = re.compile(r"^import time: .*\| *(\S+)$", re.MULTILINE)


def everything(daemon: Daemon, runtime: Path) -> None:
    """Let the daemon do all that it does."""
    assert sites(daemon)["jobs"].state == "RUNNING"
    ask(daemon, Jobs())
    ask(daemon, Status())
    ask(daemon, ListJobs("jobs", 0.3))
    ask(daemon, RunJob("jobs", "fails"))
    eventually(lambda: list((runtime / "log").glob("jobs.log.*.gz")), "old output is packed")
    ask(daemon, RunJob("jobs", "hangs", wait=False))
    ask(daemon, History())
    done(daemon, Restart(("waits",)))
    done(daemon, Stop(("waits",), now=True))
    make_worker(runtime / "new", "waits")
    daemon.config.write_text(daemon.config.read_text() + site(runtime / "new", log_max_bytes=1000))
    done(daemon, Reload())
    pid_of(daemon, "new")
    before = daemon.config.read_text()
    daemon.config.write_text("this is no TOML")
    with pytest.raises(Refusal, match=r"sites\.toml"):
        ask(daemon, Reload())
    daemon.config.write_text(before)
    psutil.Process(pid_of(daemon, "new")).kill()
    eventually(lambda: sites(daemon)["new"].restarts == 1, "it is restarted")
    eventually(lambda: "hung for" in daemon.said(), "it is found hanging", limit=20)
    done(daemon, Start(("waits",)))
    eventually(lambda: sites(daemon)["dies"].restarts >= 1, "it has died")


def configure(daemon: Daemon, runtime: Path, **keys: object) -> None:
    """Make sites for all that may happen."""
    (make_worker(runtime / "jobs", "waits") / "manage.py").write_text(FAILS)
    daemon.configure(
        site(runtime / "jobs", job_timeout=1.0, log_max_bytes=65536, **keys)
        + site(make_worker(runtime / "waits", "waits"))
        + site(make_worker(runtime / "dies", "exits"))
        + site(runtime / "lacks")
    )


def test_a_daemon_whose_files_are_gone_does_all_that_it_does(daemon: Daemon, runtime: Path) -> None:
    installed = Installed(runtime)
    configure(daemon, runtime)
    daemon.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    installed.serve(daemon)
    until(daemon, "jobs", "RUNNING")
    jobs_asked.job(daemon, "jobs", "fails")
    installed.remove()

    everything(daemon, runtime)

    said = daemon.output.read_text(errors="replace")
    assert IMPORTED.search(said), "what it imports can be seen"
    later = said[said.index("INFO serving ") :]
    assert IMPORTED.findall(later) == []
    assert "Traceback" not in later
    pid = pid_of(daemon, "waits")
    daemon.cli("upgrade")  # to where the same package is installed besides
    assert pid_of(daemon, "waits") == pid
