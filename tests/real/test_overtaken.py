"""A command whose wish another one has overtaken does not say that it was done."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fake_daemon import LINODMGR
from tests.real.asking import pid_of, until
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site


@pytest.mark.parametrize("upgraded", [False, True])
def test_a_stop_that_a_start_has_overtaken_is_not_done(daemon: Daemon, runtime: Path, upgraded: bool) -> None:
    daemon.configure(site(make_worker(runtime / "noi", "ignores_term"), stop_timeout=60))
    daemon.start()
    pid = pid_of(daemon, "noi")
    with subprocess.Popen(
        [LINODMGR, "--config", str(daemon.config), "stop", "noi"], stdout=subprocess.PIPE, text=True
    ) as stop:
        until(daemon, "noi", "STOPPING")
        if upgraded:
            daemon.cli("upgrade")
        daemon.cli("start", "--no-wait", "noi")

        os.kill(pid, signal.SIGKILL)

        told, _ = stop.communicate()
    assert stop.returncode == 1
    assert told.startswith("noi: RUNNING (pid ")
    assert told.strip().endswith("): somebody has wanted something else meanwhile")
    daemon.cli("stop", "--now")


def test_a_start_that_a_stop_has_overtaken_is_not_done(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "noi", "waits"), settle=60))
    daemon.start()
    daemon.cli("stop", "noi")
    with subprocess.Popen(
        [LINODMGR, "--config", str(daemon.config), "start", "noi"], stdout=subprocess.PIPE, text=True
    ) as start:
        until(daemon, "noi", "STARTING")

        daemon.cli("stop", "noi")

        told, _ = start.communicate()
    assert start.returncode == 1
    assert told.strip().endswith("noi: STOPPED: somebody has wanted something else meanwhile")
