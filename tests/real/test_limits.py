"""What a worker may use: set before it begins, and what follows when it uses more."""

import json
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site
from tests.real.worker_sites import make_worker, site

WITH_SCORE = ["sh", "-c", 'echo 200 >/proc/self/oom_score_adj; exec "$@"', "sh"]
EVERY_HOUR = """\
from linodmgr.linod import schedule_often

@schedule_often(every=3600)
def work():
    pass
"""

EVERY_SECOND = EVERY_HOUR.replace("3600", "1")

HAS_A_LARGE_CHILD = EVERY_SECOND.replace(
    "    pass",
    """    global child
    if child is None:
        child = subprocess.Popen([sys.executable, "-c", "x = bytearray(200_000_000); input()"], stdin=-1)
""",
).replace("from linodmgr", "import subprocess, sys\nchild = None\nfrom linodmgr", 1)


def test_whom_the_kernel_ends_first_is_set_whatever_the_daemon_has(daemon: Daemon) -> None:
    make_worker(daemon.home / "usual", "waits")
    make_worker(daemon.home / "first", "waits")
    daemon.configure(site(daemon.home / "usual") + site(daemon.home / "first", oom_score_adjust=700))
    daemon.start(*WITH_SCORE)
    pids = {name: daemon.until(name, "RUNNING")["pid"] for name in ("usual", "first")}

    scores = {name: int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for name, pid in pids.items()}

    assert scores == {"usual": 0, "first": 700}


# One whose jobs tell of themselves says nothing else.
@pytest.mark.parametrize(("jobs", "watchdog"), [(EVERY_HOUR, 1), (EVERY_SECOND, 600)])
def test_a_worker_above_memory_max_is_started_again_and_that_is_told(
    daemon: Daemon, jobs: str, watchdog: float
) -> None:
    make_site(daemon.home / "noi", jobs)
    daemon.configure(site(daemon.home / "noi", memory_max="1M", watchdog=watchdog))
    daemon.start()
    first = daemon.until("noi", "RUNNING")["pid"]

    eventually(lambda: daemon.site("noi")["pid"] not in (None, first), "it has another process", limit=30.0)

    found = daemon.site("noi")
    assert found["restarts"] >= 1
    assert "BACKOFF" not in daemon.said()
    assert "M of memory, memory_max is 1M: it is started again once its job has ended" in daemon.said()
    ends = json.loads(daemon.cli("history", "noi", "--json").stdout)["exits"]
    assert "as it was asked to end: it used " in ends[0]["cause"]
    assert ends[0]["cause"].endswith("M of memory, memory_max is 1M")


@pytest.mark.parametrize("cgroup", ["on", "off"])
def test_what_a_worker_has_started_counts_for_memory_max(daemon: Daemon, cgroup: str) -> None:
    make_site(daemon.home / "noi", HAS_A_LARGE_CHILD)
    daemon.configure(site(daemon.home / "noi", memory_max="150M"))
    daemon.start(environment={"LINODMGR_CGROUP": cgroup})

    eventually(lambda: daemon.site("noi")["restarts"] >= 1, "it is started again", limit=30.0)

    assert "M of memory, memory_max is 150M: it is started again" in daemon.said()
