"""What a command says while a stop waits for a job, on a terminal and in a pipe."""

import doctest
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from linodmgr.cli import telling
from linodmgr.protocol import Answer, Done, Progress, Request, Restart, Result, Stop
from tests.fake_daemon import LINODMGR, environment, fake_daemon, linodmgr
from tests.terminal import lines, on_a_terminal

STOPPED = Done([Result("noi", "STOPPED", ok=True)])


def waiting(what: str, waited: float = 0.0, name: str = "noi") -> Progress:
    return Progress(name, "STOPPING", waits_for=what, waited=waited, limit=30.0)


def test_the_examples_are_true() -> None:
    assert doctest.testmod(telling).failed == 0


def test_a_pipe_gets_one_line_when_a_wait_begins_and_one_when_it_ends(runtime: Path) -> None:
    answers: list[Answer] = [
        waiting("checkdata", 12.0),
        waiting("checkdata", 12.5),
        waiting("send mails\x1b[2J", 20.0),
        waiting("", 25.0),
        Progress("noi", "STOPPED"),
        STOPPED,
    ]
    with fake_daemon(runtime, *answers):
        done = linodmgr(runtime, "stop", "noi")

    assert (done.stdout, done.returncode) == ("noi: STOPPED\n", 0)
    assert done.stderr.splitlines() == [
        "noi: waiting for checkdata, 12 s of 30",
        "noi: waited 20 s for checkdata",
        "noi: waiting for send mails\\x1b[2J, 20 s of 30",
        "noi: waited 25 s for send mails\\x1b[2J",
    ]


def test_a_pipe_gets_no_line_if_no_job_is_waited_for(runtime: Path) -> None:
    with fake_daemon(runtime, waiting(""), Progress("noi", "STOPPED"), STOPPED):
        assert linodmgr(runtime, "stop", "noi").stderr == ""


def test_a_terminal_counts_on_by_itself(runtime: Path) -> None:
    counted = Event()

    def slowly(_request: Request) -> Iterator[Answer]:
        yield waiting("check[bold]data", 12.4)
        yield waiting("", 3.0, "voga")
        assert counted.wait(30.0)
        yield STOPPED

    def watch(said: str) -> None:
        if "14 s of 30" in said:
            counted.set()

    with fake_daemon(runtime, slowly):
        code, said = on_a_terminal([LINODMGR, "stop"], environment(runtime), 100, watch)

    assert code == 0
    last = "stopping: 2 STOPPING; noi waiting for check[bold]data, 14 s of 30 (+1 more)"
    assert any(last in line for line in lines(said))


def test_what_is_asked_for_is_passed_on(runtime: Path) -> None:
    with fake_daemon(runtime, Done()) as requests:
        linodmgr(runtime, "stop", "--now", "noi")
        linodmgr(runtime, "restart", "--now", "--at-once", "3")
        linodmgr(runtime, "stop", "--daemon", "--now", "--no-wait")

    assert requests == [
        Stop(("noi",), now=True),
        Restart(now=True, at_once=3),
        Stop(daemon=True, wait=False, now=True),
    ]


def test_nobody_is_restarted_none_at_once(runtime: Path) -> None:
    with fake_daemon(runtime, Done()) as requests:
        done = linodmgr(runtime, "restart", "--at-once", "0")

    assert (done.returncode, requests) == (2, [])
