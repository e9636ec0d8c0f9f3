"""``linodmgr list --watch``: shown anew when something changes, until Ctrl-C or the end of the daemon."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from linodmgr.cli import list_watch
from linodmgr.protocol import Answer, Done, Jobs, JobStatus, Refused, Request, SiteJobs
from tests.eventually import eventually
from tests.fake_daemon import LINODMGR, configure, environment, fake_daemon, linodmgr, running
from tests.terminal import lines, on_a_terminal

PATIENCE = 30.0  # seconds


def site(name: str, state: str, live: bool = True, reason: str = "") -> SiteJobs:
    return SiteJobs(name, live, [JobStatus("1", "checkdata", "every day", state)], reason=reason)


class Stage:
    """A daemon that says what comes next when it is told to."""

    def __init__(self, *scenes: list[SiteJobs]) -> None:
        self._scenes = scenes
        self._go = [Event() for _ in range(len(scenes))]

    def script(self, _request: Request) -> Iterator[Answer]:
        """Say the first scene, the others after `go`."""
        for number, scene in enumerate(self._scenes):
            if number:
                assert self._go[number].wait(PATIENCE)
            yield from scene
        assert self._go[0].wait(PATIENCE)

    def go(self, number: int) -> None:
        """Let this scene be said; 0 is the end."""
        self._go[number].set()


@contextmanager
def watched(
    runtime: Path, stage: Stage, *options: str
) -> Iterator[tuple[list[str], "subprocess.Popen[bytes]"]]:
    """Yield the lines that have been printed so far, and the process."""
    seen: list[str] = []
    with (
        fake_daemon(runtime, stage.script) as requests,
        running(runtime, ["list", "--watch", *options]) as process,
    ):
        assert process.stdout is not None
        output = process.stdout
        reader = Thread(target=lambda: seen.extend(line.decode().rstrip("\n") for line in output))
        reader.start()
        try:
            yield seen, process
        finally:
            process.kill()
            reader.join()
            stage.go(0)
        assert requests == [Jobs(watch=True)]


def states(seen: list[str]) -> list[str]:
    return [line.split()[0] + " " + line.split()[-1] if line else "" for line in seen]


def test_a_pipe_gets_one_table_for_all_sites_and_another_when_something_changes(runtime: Path) -> None:
    stage = Stage([site("noi", "ok"), site("voga", "ok")], [site("voga", "FAILED")])
    first = ["SITE STATE", "noi ok", "voga ok"]
    with watched(runtime, stage) as (seen, _process):
        eventually(lambda: states(seen) == first, "the first table has come")
        stage.go(1)
        second = [*first, "", "SITE STATE", "noi ok", "voga FAILED"]
        eventually(lambda: states(seen) == second, "the second table has come")


def test_filters_hold_for_what_is_watched(runtime: Path) -> None:
    stage = Stage([site("noi", "ok"), site("voga", "FAILED")], [site("voga", "ok")])
    with watched(runtime, stage, "--failed") as (seen, _process):
        eventually(lambda: states(seen) == ["SITE STATE", "voga FAILED"], "the first table has come")
        stage.go(1)
        eventually(lambda: states(seen)[2:] == ["", "SITE STATE"], "nothing has failed any more")


def test_a_site_without_worker_is_shown_and_not_asked(runtime: Path) -> None:
    nothing = SiteJobs("never", False, [], reason="BLOCKED: no virtualenv")
    stage = Stage([site("noi", "ok", live=False, reason="STOPPED"), nothing])
    with watched(runtime, stage) as (seen, _process):
        eventually(lambda: states(seen)[1:] == ["noi STOPPED", "never virtualenv"], "both are shown")


def test_json_is_one_object_a_line(runtime: Path) -> None:
    stage = Stage([site("noi", "ok")], [site("noi", "running")])
    with watched(runtime, stage, "--json") as (seen, _process):
        eventually(lambda: len(seen) == 1, "the first object has come")
        stage.go(1)
        eventually(lambda: len(seen) == 2, "the second object has come")

    assert [json.loads(line)["jobs"][0]["state"] for line in seen] == ["ok", "running"]
    assert [json.loads(line).keys() for line in seen] == [{"jobs", "problems", "idle"}] * 2


def test_ctrl_c_ends_it_quietly(runtime: Path) -> None:
    stage = Stage([site("noi", "ok")])
    with watched(runtime, stage) as (seen, process):
        eventually(lambda: len(seen) == 2, "the table has come")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == b"\n"  # behind the ^C
        assert process.wait(PATIENCE) == 130


@pytest.mark.parametrize("last", [[], [Done()]], ids=["cut off", "in order"])
def test_the_end_of_the_daemon_is_told(runtime: Path, last: list[Answer]) -> None:
    with fake_daemon(runtime, site("noi", "ok"), *last):
        done = linodmgr(runtime, "list", "--watch")

    assert done.stderr.endswith("any more: it has ended\n")
    assert done.returncode == 3


def test_without_a_daemon_there_is_nothing_to_watch(runtime: Path) -> None:
    done = linodmgr(configure(runtime), "list", "--watch")

    assert "is it running?" in done.stderr
    assert done.returncode == 3


def test_an_earlier_daemon_cannot_be_watched(runtime: Path) -> None:
    with fake_daemon(runtime, Refused("cannot understand the request: Invalid value 'jobs'")):
        done = linodmgr(runtime, "list", "--watch")

    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith("linodmgr: cannot understand the request")


def test_it_ends_when_nobody_reads_any_more(runtime: Path) -> None:
    stage = Stage([site("noi", "ok")])
    with fake_daemon(runtime, stage.script), running(runtime, ["list", "--watch"]) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(PATIENCE)
        stage.go(0)


@pytest.mark.parametrize("columns", [60, 100])
def test_a_terminal_shows_the_newest_in_the_place_of_the_last(runtime: Path, columns: int) -> None:
    always_news = [site("noi", "ok")] * (list_watch.AT_MOST + 1)
    with fake_daemon(runtime, *always_news, site("noi", "FAILED")):
        code, said = on_a_terminal([LINODMGR, "list", "--watch"], environment(runtime), columns)

    assert code == 3
    assert "\x1b[31mFAILED" in said.partition("\x1b[1A")[2]  # one line up, and again
    assert max(len(line) for line in lines(said) if "linodmgr:" not in line) <= columns
