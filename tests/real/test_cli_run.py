"""``linodmgr run``: what it asks, what it shows while the job runs, and how it ends."""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from linodmgr.cli import run_job
from linodmgr.protocol import Answer, Done, JobRun, Refused, Request, RunJob
from tests.eventually import eventually
from tests.fake_daemon import LINODMGR, configure, environment, fake_daemon, linodmgr, running
from tests.terminal import lines, on_a_terminal

PATIENCE = 30.0  # seconds


def run(state: str, log: Path | str = "", log_from: int = 0, **known: object) -> JobRun:
    return JobRun("noi", "1", "checkdata", state, log=str(log), log_from=log_from, **known)  # type: ignore[arg-type]


@pytest.fixture
def log(runtime: Path) -> Path:
    place = configure(runtime) / "noi.log"
    place.write_bytes(b"before\n")
    return place


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("last", "words", "code"),
    [
        (run("ok", duration=12.3), "noi: checkdata ok after 12 s\n", 0),
        (run("warned", duration=0.25), "noi: checkdata warned after 250 ms\n", 0),
        (
            run("failed", duration=3.0, error="ValueError: x"),
            "noi: checkdata FAILED after 3 s: ValueError: x\n",
            1,
        ),
        (run("failed", error="its worker \x1b[2J"), "noi: checkdata FAILED: its worker \\x1b[2J\n", 1),
    ],
)
def test_it_ends_as_the_job_ends(runtime: Path, last: JobRun, words: str, code: int) -> None:
    with fake_daemon(runtime, run("queued"), run("running"), last, Done()) as requests:
        done = linodmgr(runtime, "run", "noi", "checkdata")

    assert requests == [RunJob("noi", "checkdata")]
    assert (done.stdout, done.stderr, done.returncode) == (words, "", code)


def test_who_does_not_wait_hears_that_it_is_queued(runtime: Path) -> None:
    with fake_daemon(runtime, run("queued"), Done()) as requests:
        done = linodmgr(runtime, "run", "noi", "checkdata", "--no-wait")

    assert requests == [RunJob("noi", "checkdata", wait=False)]
    assert (done.stdout, done.returncode) == ("noi: checkdata is queued\n", 0)


def test_lines_of_the_site_are_shown_as_they_come(runtime: Path, log: Path) -> None:
    shown, ended = Event(), Event()

    def script(_request: Request) -> Iterator[Answer]:
        append(log, b"of another job\n")
        yield run("queued", log, 7)
        start = log.stat().st_size
        append(log, b"first\n")
        yield run("running", log, start)
        assert shown.wait(PATIENCE)
        append(log, b"third\xff\nno end")
        yield run("ok", log, start, duration=1.0)
        yield Done()
        ended.set()

    with fake_daemon(runtime, script), running(runtime, ["run", "noi", "checkdata"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        append(log, b"second\n")
        assert process.stdout.readline() == b"second\n"
        shown.set()
        rest = process.stdout.read()
        assert ended.wait(PATIENCE)

    assert rest == b"third\xff\nno end\nnoi: checkdata ok after 1 s\n"
    assert process.returncode == 0


def test_on_a_terminal_it_says_that_it_waits_and_nothing_controls_it(runtime: Path, log: Path) -> None:
    def script(_request: Request) -> Iterator[Answer]:
        yield run("queued", log)
        append(log, b"red \x1b[31m\n")
        yield run("running", log, 7)
        yield run("ok", log, 7, duration=1.0)
        yield Done()

    with fake_daemon(runtime, script):
        code, said = on_a_terminal([LINODMGR, "run", "noi", "checkdata"], environment(runtime), 80)

    assert code == 0
    assert "noi: checkdata is queued" in said
    assert "\x1b[31m" not in said
    assert lines(said)[-2:] == ["red \\x1b[31m", "noi: checkdata ok after 1 s"]


def test_a_log_that_cannot_be_read_is_told_once_and_the_traceback_is_shown(runtime: Path) -> None:
    last = run("failed", "/nowhere/noi.log", error="KeyError: 1", trace="Traceback:\n  one\x1b[2J\n")
    with fake_daemon(runtime, run("running", "/nowhere/noi.log"), last, Done()):
        done = linodmgr(runtime, "run", "noi", "checkdata")

    assert done.stderr == (
        "linodmgr: cannot show what checkdata prints: "
        "cannot read /nowhere/noi.log: no such file or directory\n"
    )
    assert done.stdout.splitlines() == [
        "    Traceback:",
        "      one\\x1b[2J",
        "noi: checkdata FAILED: KeyError: 1",
    ]
    assert done.returncode == 1


@pytest.mark.root
def test_who_may_not_read_the_log_is_told_so(
    log: Path, user: pwd.struct_passwd, capsys: pytest.CaptureFixture[str]
) -> None:
    log.chmod(0o600)
    os.seteuid(user.pw_uid)
    try:
        run_job._Run().hear(run("running", log))
    finally:
        os.seteuid(0)

    assert capsys.readouterr().err.endswith(f"cannot read {log}: no permission: become root\n")


def test_a_refusal_has_the_daemons_words_and_exit_code(runtime: Path) -> None:
    words = "cannot run 'check' of 'noi': no such job: candidates checkdata, checksummaries"
    with fake_daemon(runtime, Refused(words, 2)):
        done = linodmgr(runtime, "run", "noi", "check")

    assert (done.stdout, done.stderr, done.returncode) == ("", f"linodmgr: {words}\n", 2)


def test_a_daemon_that_ends_meanwhile_is_told(runtime: Path) -> None:
    with fake_daemon(runtime, run("running")):
        done = linodmgr(runtime, "run", "noi", "checkdata")

    assert done.stderr.endswith("any more: it has ended\n")
    assert (done.stdout, done.returncode) == ("", 3)


def test_without_a_daemon_nothing_can_be_run(runtime: Path) -> None:
    done = linodmgr(configure(runtime), "run", "noi", "checkdata")

    assert "is it running?" in done.stderr
    assert done.returncode == 3


def test_ctrl_c_ends_the_waiting_and_not_the_job(runtime: Path) -> None:
    with (
        fake_daemon(runtime, run("running"), hangs=True) as requests,
        running(runtime, ["run", "noi", "checkdata"]) as process,
    ):
        eventually(lambda: bool(requests), "the request has come")
        eventually(lambda: _is_waiting(process), "it waits")
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=PATIENCE)

    assert (said, complaint, process.returncode) == (b"", b"noi: checkdata goes on\n", 130)


def _is_waiting(process: "subprocess.Popen[bytes]") -> bool:
    """Whether the process has read what the daemon said, and sleeps in poll(2)."""
    return "poll" in Path(f"/proc/{process.pid}/wchan").read_text()


@pytest.mark.parametrize("arguments", [["run"], ["run", "noi"], ["run", "noi", "checkdata", "more"]])
def test_it_takes_one_site_and_one_job(runtime: Path, arguments: list[str]) -> None:
    done = linodmgr(configure(runtime), *arguments)

    assert "see 'linodmgr run --help'" in done.stderr
    assert (len(done.stderr.splitlines()), done.returncode) == (1, 2)
