"""Shell completion: the scripts, and names of sites with and without a daemon."""

import subprocess
from pathlib import Path

import pytest

from linodmgr.protocol import Done, Jobs, JobStatus, SiteJobs, SiteStatus, Snapshot
from tests.fake_daemon import configure, fake_daemon, linodmgr

SITES = [
    SiteStatus(name, f"/srv/{name}", "RUNNING", "UP", None, None, None, 0, None, None, None, None)
    for name in ("noi", "notes", "voga")
]


def completed(runtime: Path, words: str) -> list[str]:
    """Return what bash is offered after ``words``; the last word is the one being typed."""
    done = linodmgr(
        runtime,
        _LINODMGR_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split(" ")) - 1),
    )
    assert done.stderr == ""
    return [line.removeprefix("plain,") for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(runtime: Path, shell: str) -> None:
    done = linodmgr(configure(runtime), "completion", shell)

    assert f"_LINODMGR_COMPLETE={shell}_complete" in done.stdout
    assert done.returncode == 0


def test_the_script_for_bash_is_bash(runtime: Path) -> None:
    script = linodmgr(configure(runtime), "completion", "bash").stdout

    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_commands_are_completed(runtime: Path) -> None:
    assert completed(configure(runtime), "linodmgr sta") == ["start", "status"]


@pytest.mark.parametrize("command", ["start", "stop", "restart", "status", "list", "run", "history", "logs"])
def test_names_come_from_the_daemon(runtime: Path, command: str) -> None:
    with fake_daemon(runtime, Snapshot("0.1.0", 1, SITES), Done()):
        assert completed(runtime, f"linodmgr {command} no") == ["noi", "notes"]


@pytest.mark.parametrize("command", ["run", "history"])
def test_jobs_of_the_site_come_from_the_daemon(runtime: Path, command: str) -> None:
    jobs = [
        JobStatus(str(n), name, "hourly", "ok") for n, name in enumerate(("check", "chair", "\x1b", "chair"))
    ]
    with fake_daemon(runtime, SiteJobs("noi", True, jobs), Done()) as requests:
        assert completed(runtime, f"linodmgr {command} noi ch") == ["chair", "check"]

    assert requests == [Jobs(("noi",))]


@pytest.mark.parametrize("command", ["run", "history"])
def test_without_a_daemon_no_jobs_are_offered(runtime: Path, command: str) -> None:
    assert completed(configure(runtime), f"linodmgr {command} noi ch") == []


def test_a_name_is_offered_once(runtime: Path) -> None:
    with fake_daemon(runtime, Snapshot("0.1.0", 1, SITES), Done()):
        assert completed(runtime, "linodmgr stop noi no") == ["notes"]


def test_without_a_daemon_names_come_from_logs_and_configuration(runtime: Path) -> None:
    configure(runtime)
    (runtime / "log").mkdir()
    (runtime / "log" / "notes.log").touch()
    with (runtime / "sites.toml").open("a") as config:
        config.write('[[site]]\ndirectory = "/srv/noi"\n')

    assert completed(runtime, "linodmgr logs ") == ["noi", "notes"]


def test_the_config_option_counts(runtime: Path) -> None:
    with fake_daemon(runtime, Snapshot("0.1.0", 1, SITES), Done()):
        words = f"linodmgr --config {runtime}/sites.toml status v"
        assert completed(runtime, words) == ["voga"]


@pytest.mark.parametrize("text", ["site = 3", "[daemon", "[[site]]\ndirectory = 7\n", "\0"])
def test_a_broken_configuration_offers_nothing_and_says_nothing(runtime: Path, text: str) -> None:
    configure(runtime)
    with (runtime / "sites.toml").open("a") as config:
        config.write(text)

    assert completed(runtime, "linodmgr status no") == []
