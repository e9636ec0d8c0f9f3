"""What start, stop, restart and reload ask the daemon, what they say, and how they end."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from linodmgr.protocol import (
    Done,
    Progress,
    Refused,
    Reload,
    Request,
    Restart,
    Result,
    SiteStatus,
    Snapshot,
    Start,
    Status,
    Stop,
)
from tests.eventually import eventually
from tests.fake_daemon import LINODMGR, configure, environment, fake_daemon, linodmgr, running
from tests.terminal import lines, on_a_terminal

NOI = Result("noi", "RUNNING", ok=True, pid=123)
VOGA = Result(
    "voga",
    "BACKOFF",
    ok=False,
    reason="exited with status 1 after 0.2 s, next try in 4 s",
    output=("Traceback (most recent call last):", "\tKeyError: 'x\x1b[2J'"),
)


def test_start_says_what_became_of_each_site_and_failures_last(runtime: Path) -> None:
    with fake_daemon(runtime, Progress("noi", "STARTING"), Done([VOGA, NOI])) as requests:
        done = linodmgr(runtime, "start", "noi", "v*")

    assert requests == [Start(("noi", "v*"))]
    assert done.stdout.splitlines() == [
        "noi: RUNNING (pid 123)",
        "voga: BACKOFF: exited with status 1 after 0.2 s, next try in 4 s",
        "    Traceback (most recent call last):",
        "    \tKeyError: 'x\\x1b[2J'",
    ]
    assert (done.stderr, done.returncode) == ("", 1)


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (["start"], Start()),
        (["start", "--no-wait", "noi"], Start(("noi",), wait=False)),
        (["stop", "noi"], Stop(("noi",))),
        (["stop", "--no-wait"], Stop(wait=False)),
        (["restart", "noi"], Restart(("noi",))),
        (["restart", "--no-wait"], Restart(wait=False)),
        (["reload"], Reload()),
        (["reload", "--no-wait"], Reload(wait=False)),
    ],
)
def test_each_command_asks_for_one_thing(runtime: Path, arguments: list[str], request_: Request) -> None:
    with fake_daemon(runtime, Done()) as requests:
        assert linodmgr(runtime, *arguments).returncode == 0

    assert requests == [request_]


def test_who_does_not_wait_does_not_fail_for_what_is_on_its_way(runtime: Path) -> None:
    with fake_daemon(runtime, Done([Result("noi", "QUEUED", ok=False)])):
        done = linodmgr(runtime, "start", "--no-wait")

    assert (done.stdout, done.returncode) == ("noi: QUEUED\n", 0)


def test_who_does_not_wait_hears_of_what_cannot_start(runtime: Path) -> None:
    with fake_daemon(runtime, Done([Result("noi", "BLOCKED", ok=False, reason="no virtualenv")])):
        done = linodmgr(runtime, "start", "--no-wait")

    assert (done.stdout, done.returncode) == ("noi: BLOCKED: no virtualenv\n", 1)


def test_stop_of_all_sites_says_that_the_daemon_goes_on(runtime: Path) -> None:
    with fake_daemon(runtime, Done([Result("noi", "STOPPED", ok=True)])):
        of_all = linodmgr(runtime, "stop")
        of_one = linodmgr(runtime, "stop", "noi")

    assert of_all.stdout == "noi: STOPPED\nthe daemon goes on: 'linodmgr stop --daemon' ends it\n"
    assert of_one.stdout == "noi: STOPPED\n"


def test_reload_prints_what_was_done(runtime: Path) -> None:
    with fake_daemon(runtime, Done(lines=["noi: restarted, its user has changed", "4 unchanged"])):
        done = linodmgr(runtime, "reload")

    assert done.stdout == "noi: restarted, its user has changed\n4 unchanged\n"


def test_a_refusal_has_the_daemons_words_and_exit_code(runtime: Path) -> None:
    with fake_daemon(runtime, Refused("cannot reload: the daemon is stopping")):
        done = linodmgr(runtime, "reload")

    assert (done.stderr, done.returncode) == ("linodmgr: cannot reload: the daemon is stopping\n", 1)


def test_a_refused_reload_says_every_problem_and_that_the_old_configuration_is_kept(runtime: Path) -> None:
    with fake_daemon(runtime, Refused("sites.toml: unknown key 'a'\nsites.toml: unknown key 'b'", 78)):
        done = linodmgr(runtime, "reload")

    assert done.stderr.splitlines() == [
        "linodmgr: sites.toml: unknown key 'a'",
        "linodmgr: sites.toml: unknown key 'b'",
        "linodmgr: the old configuration is kept",
    ]
    assert (done.stdout, done.returncode) == ("", 78)


@pytest.mark.parametrize("command", ["status", "stop", "reload"])
def test_a_file_that_is_being_edited_does_not_hide_the_daemon(runtime: Path, command: str) -> None:
    with fake_daemon(runtime, Snapshot("0.1.0", 1, []), Done()) as requests:
        with (runtime / "sites.toml").open("a") as config:
            config.write("[[site]]\ndirectory = /srv")
        done = linodmgr(runtime, command)

    assert (done.stderr, done.returncode, len(requests)) == ("", 0, 1)


@pytest.mark.parametrize("command", ["stop", "restart", "reload"])
def test_only_start_works_without_a_daemon(runtime: Path, command: str) -> None:
    done = linodmgr(configure(runtime), command)

    assert "is it running?" in done.stderr
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stop", "--daemon", "noi"], "cannot stop the daemon for some sites only"),
        (["start", "--foreground", "noi"], "cannot start only some sites in the foreground"),
        (["begin"], "no such command 'begin': see 'linodmgr --help'"),
        (["logs", "-n", "-1"], "'linodmgr logs --help'"),
        (["completion"], "linodmgr: missing argument: say bash, zsh or fish\n"),
        (["completion", "tcsh"], "'linodmgr completion --help'"),
    ],
)
def test_wrong_usage_is_one_line_and_ends_with_2(runtime: Path, arguments: list[str], words: str) -> None:
    done = linodmgr(configure(runtime), *arguments)

    assert done.stderr.startswith("linodmgr: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert (done.stdout, done.returncode) == ("", 2)


def test_a_terminal_shows_how_far_it_is(runtime: Path) -> None:
    with fake_daemon(runtime, Progress("noi", "STARTING"), Progress("voga", "QUEUED"), Done([NOI])):
        code, said = on_a_terminal([LINODMGR, "start"], environment(runtime), 60)

    assert code == 0
    assert "starting: " in said
    assert lines(said)[-1].endswith("noi: RUNNING (pid 123)")


def interrupted(runtime: Path, arguments: list[str], ready: Callable[[], object]) -> tuple[int, bytes]:
    """Return exit code and stderr of a command that gets Ctrl-C when ``ready``."""
    with running(runtime, arguments) as process:
        eventually(ready, f"linodmgr {' '.join(arguments)} is at work")
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=30)
        return process.returncode, words


def test_an_interrupted_command_ends_quietly_with_130(runtime: Path) -> None:
    with fake_daemon(runtime, Progress("noi", "STARTING"), hangs=True) as requests:
        code, words = interrupted(runtime, ["restart"], lambda: requests)

    assert (code, words.strip()) == (130, b"")


def test_a_reader_that_goes_away_is_no_disaster(runtime: Path) -> None:
    site = SiteStatus("noi", "/srv/noi", "RUNNING", "UP", 1, None, 1.0, 0, "x" * 100_000, None, None, None)
    with (
        fake_daemon(runtime, Snapshot("0.1.0", 1, [site] * 10), Done()),
        running(runtime, ["status"]) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(timeout=30)


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["--help"], ["completion", "zsh"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_told(
    runtime: Path, arguments: list[str], size: int, unbuffered: str
) -> None:
    site = SiteStatus("noi", "/srv/noi", "RUNNING", "UP", 1, None, 1.0, 0, "x" * size, None, None, None)
    with fake_daemon(runtime, Snapshot("0.1.0", 1, [site]), Done()), open("/dev/full", "w") as full:
        done = subprocess.run(
            [LINODMGR, *arguments],
            env=environment(runtime, PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.stderr == "linodmgr: cannot write the output: No space left on device\n"
    assert done.returncode == 1


def test_closed_standard_output_is_no_disaster(runtime: Path) -> None:
    with fake_daemon(runtime, Done([NOI])):
        code, said = on_a_terminal(
            ["/bin/sh", "-c", f"{LINODMGR} start >&- 2>&-; echo code $?"], environment(runtime), 60
        )

    assert lines(said) == ["code 0"]
    assert code == 0


def test_the_config_option_chooses_the_daemon(runtime: Path) -> None:
    with fake_daemon(runtime, Snapshot("0.1.0", 1, []), Done()) as requests:
        done = linodmgr(
            runtime, "--config", str(runtime / "sites.toml"), "status", LINODMGR_CONFIG="/nowhere"
        )

    assert done.returncode == 0
    assert requests == [Status()]


def test_the_version_is_told(runtime: Path) -> None:
    assert linodmgr(runtime, "--version").stdout.startswith("linodmgr 0.")


@pytest.mark.parametrize(
    ("arguments", "code"), [(["status", "nosuch"], 2), (["stop", "--no-such-option"], 2), (["reload"], 78)]
)
def test_messages_that_nobody_takes_change_no_exit_code(
    runtime: Path, arguments: list[str], code: int
) -> None:
    with fake_daemon(runtime, Refused("cannot find site 'nosuch'", code)), open("/dev/full", "w") as full:
        done = subprocess.run(
            [LINODMGR, *arguments],
            env=environment(runtime),
            stdout=subprocess.DEVNULL,
            stderr=full,
            timeout=60,
            check=False,
        )

    assert done.returncode == code
