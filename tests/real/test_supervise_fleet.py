"""Many sites under one real daemon, reloads, and what survives a restart of the daemon."""

from pathlib import Path

from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site

MANY = 500
SLEEPER = "#!/bin/sh\nexec /bin/sleep 100000\n"


def test_500_sites_start_run_and_stop_with_a_soft_limit_of_1024_open_files(
    daemon: Daemon, runtime: Path
) -> None:
    names = [f"site{number:03}" for number in range(MANY)]
    for name in names:
        python = runtime / name / "env" / "bin" / "python"
        python.parent.mkdir(parents=True)
        (runtime / name / "manage.py").touch()
        python.write_text(SLEEPER)
        python.chmod(0o755)
    daemon.configure("".join(site(runtime / name) for name in names), daemon="starts_at_once = 50")
    daemon.start("prlimit", "--nofile=1024:", "--")

    eventually(
        lambda: [one["state"] for one in daemon.status().values()] == ["RUNNING"] * MANY, "all run", limit=120
    )
    pids = {one["pid"] for one in daemon.status().values()}
    assert len(pids) == MANY
    limits = Path(f"/proc/{min(pids)}/limits").read_text()
    assert "Max open files            1024 " in limits, (
        "the workers keep the limit that the daemon was started with"
    )

    daemon.cli("stop")
    assert {one["state"] for one in daemon.status().values()} == {"STOPPED"}
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_reload_touches_only_what_has_changed(daemon: Daemon, runtime: Path) -> None:
    for name in ("same", "changed", "gone", "new", "calmer"):
        make_worker(runtime / name, "waits")
    daemon.configure("".join(site(runtime / name) for name in ("same", "changed", "gone", "calmer")))
    daemon.start()
    before = {name: daemon.until(name, "RUNNING")["pid"] for name in ("same", "changed", "gone", "calmer")}

    daemon.configure(
        site(runtime / "same")
        + site(runtime / "changed", umask="077")
        + site(runtime / "new")
        + site(runtime / "calmer", stop_timeout=20)
    )
    told = daemon.cli("reload").stdout

    after = {name: daemon.until(name, "RUNNING")["pid"] for name in ("same", "changed", "new", "calmer")}
    assert after["same"] == before["same"]
    assert after["calmer"] == before["calmer"], "a change that needs no restart"
    assert after["changed"] != before["changed"]
    assert "gone" not in daemon.status()
    assert not Path(f"/proc/{before['gone']}").exists()
    assert all(name in told for name in ("changed", "gone", "new"))
    assert not any(line.startswith("same") for line in told.splitlines())


def test_a_reload_of_nothing_changes_nothing(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    before = daemon.until("one", "RUNNING")

    daemon.cli("reload")

    after = daemon.site("one")
    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])


def test_stopped_by_hand_survives_a_restart_of_the_daemon(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(
        site(make_worker(runtime / "one", "waits")) + site(make_worker(runtime / "two", "waits"))
    )
    daemon.start()
    daemon.until("one", "RUNNING")
    daemon.until("two", "RUNNING")
    daemon.cli("stop", "one")
    assert daemon.stop() == 0

    daemon.start()

    daemon.until("two", "RUNNING")
    assert daemon.site("one")["state"] == "STOPPED"
    assert daemon.site("one")["goal"] == "DOWN"
    daemon.cli("start", "one")
    assert daemon.site("one")["state"] == "RUNNING"


def test_the_end_of_the_daemon_is_the_end_of_its_workers(daemon: Daemon, runtime: Path) -> None:
    daemon.configure("".join(site(make_worker(runtime / name, "waits")) for name in ("one", "two")))
    daemon.start()
    pids = [daemon.until(name, "RUNNING")["pid"] for name in ("one", "two")]

    assert daemon.stop() == 0

    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
