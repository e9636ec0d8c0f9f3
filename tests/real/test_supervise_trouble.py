"""What can be wrong with a site or the configuration, under a real daemon."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import LINODMGR, Daemon
from tests.real.worker_sites import make_worker, site


def test_a_site_without_a_virtualenv_is_blocked_until_there_is_one(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "waits")
    (project / "env").rename(project / "elsewhere")
    daemon.configure(site(project))
    daemon.start()

    assert "env" in daemon.until("one", "BLOCKED")["reason"]
    (project / "elsewhere").rename(project / "env")
    daemon.until("one", "RUNNING")


def test_a_python_that_lacks_what_it_needs_is_not_called_missing(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "waits")
    (project / "env" / "bin" / "python").write_text("#!/no/such/interpreter\n")
    daemon.configure(site(project))
    daemon.start()

    reason = daemon.until("one", "BLOCKED")["reason"]
    assert f"cannot execute '{project}/env/bin/python'" in reason
    assert "what it needs does not exist" in reason


def test_a_site_without_manage_py_is_blocked(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "waits")
    (project / "manage.py").unlink()
    daemon.configure(site(project))
    daemon.start()

    assert "manage.py" in daemon.until("one", "BLOCKED")["reason"]


def test_a_directory_that_is_not_there_is_blocked(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(runtime / "nowhere"))
    daemon.start()

    assert "nowhere" in daemon.until("nowhere", "BLOCKED")["reason"]


def test_an_unknown_user_blocks_only_its_site(daemon: Daemon, runtime: Path) -> None:
    good = make_worker(runtime / "good", "waits")
    bad = make_worker(runtime / "bad", "waits")
    daemon.configure(site(good) + site(bad, user="nobody-has-this-name"))
    daemon.start()

    assert "nobody-has-this-name" in daemon.until("bad", "BLOCKED")["reason"]
    daemon.until("good", "RUNNING")
    assert daemon.cli("status", code=3).returncode == 3
    assert daemon.cli("status", "good").returncode == 0


def test_a_mistake_in_one_site_blocks_only_that_site(daemon: Daemon, runtime: Path) -> None:
    good = make_worker(runtime / "good", "waits")
    bad = make_worker(runtime / "bad", "waits")
    daemon.configure(site(good) + site(bad, umask=22))
    daemon.start()

    assert "umask" in daemon.until("bad", "BLOCKED")["reason"]
    daemon.until("good", "RUNNING")


def test_what_is_not_toml_ends_the_daemon_with_78_and_says_where(daemon: Daemon, runtime: Path) -> None:
    daemon.configure("[[site]\n")

    ended = daemon.cli("start", "--foreground", code=78)

    assert "sites.toml" in ended.stderr
    assert "line" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_running_daemon_keeps_its_configuration_when_the_new_one_is_not_toml(
    daemon: Daemon, runtime: Path
) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid = daemon.until("one", "RUNNING")["pid"]
    daemon.configure("[[site]\n")

    refused = daemon.cli("reload", code=78)

    assert "line" in refused.stderr
    assert Path(f"/proc/{pid}").exists()
    daemon.configure(site(runtime / "one"))
    assert daemon.site("one")["pid"] == pid


def test_a_second_daemon_refuses(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid = daemon.until("one", "RUNNING")["pid"]

    second = daemon.cli("start", "--foreground", code=1)

    assert str(daemon.pid) in second.stderr
    assert daemon.site("one")["pid"] == pid


def test_two_daemons_never_run_one_project_twice(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "waits")
    daemon.configure(site(project))
    daemon.start()
    pid = daemon.until("one", "RUNNING")["pid"]
    (runtime / "other").mkdir(mode=0o755)
    other = Daemon(runtime / "other")
    other.configure(site(project, name="same"))
    try:
        other.start()

        assert str(pid) in other.until("same", "BLOCKED")["reason"]
        daemon.cli("stop", "one")
        other.until("same", "RUNNING")
    finally:
        assert other.stop() == 0


def test_a_linod_that_somebody_else_started_is_named_and_blocks(daemon: Daemon, runtime: Path) -> None:
    project = make_worker(runtime / "one", "waits")
    stranger = subprocess.Popen(
        [sys.executable, "manage.py", "linod"],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        daemon.configure(site(project))
        daemon.start()

        assert str(stranger.pid) in daemon.until("one", "BLOCKED")["reason"]
        assert str(stranger.pid) in daemon.cli("check", code=78).stdout
    finally:
        stranger.kill()
        stranger.wait()
    daemon.until("one", "RUNNING")


@pytest.mark.parametrize("worker", ["ignores_term", "talks_bytes"])
def test_a_misbehaving_worker_does_not_get_away(worker: str, daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", worker), stop_timeout=1))
    daemon.start()
    eventually(lambda: "ready" in daemon.log("one"), "the worker is there")

    assert "STOPPED" in daemon.cli("stop", "one").stdout


def test_a_child_that_got_away_does_not_keep_its_site_from_running(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "forks_away")))
    daemon.start()
    eventually(lambda: daemon.site("one")["restarts"] >= 1, "it was started again")
    daemon.stop()

    for child in re.findall(r"^child (\d+)$", daemon.log("one"), re.MULTILINE):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGKILL)


def test_the_daemon_says_what_is_wrong_when_nobody_may_write_its_directories(runtime: Path) -> None:
    config = runtime / "sites.toml"
    (runtime / "file").touch()
    config.write_text(f'[daemon]\nruntime_dir = "{runtime}/file/run"\n')

    done = subprocess.run(
        [LINODMGR, "--config", str(config), "start", "--foreground"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode in (1, 78)
    assert "Traceback" not in done.stderr
    assert f"{runtime}/file" in done.stderr
