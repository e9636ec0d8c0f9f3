"""The socket that runners talk to: anybody may connect, only workers are heard, and none disturbs another."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from linodmgr.core import shown
from linodmgr.core.site import Policy
from linodmgr.core.states import Goal, Wanted
from tests.eventually import eventually
from tests.real.puppets import Theatre, theatre

UP = Wanted(Goal.UP)
NOBODY = 65534
READY = "connect(); say(HELLO); wait_for_go(); say(READY); wait()"
IDLES = "connect(); say(HELLO); wait_for_go(); say(IDLE)"
# A virtualenv's python may be a script that starts the real one.
CHILD_SPEAKS = f"if os.fork() == 0:\n    {READY}\nos.wait()"
QUICK = Policy(settle=0.1, backoff_max=0.1, stop_timeout=60.0)


@pytest.fixture
def stage(runtime: Path) -> Iterator[Theatre]:
    with theatre(runtime) as made:
        yield made


def test_a_worker_is_told_to_go_and_heard(stage: Theatre) -> None:
    stage.perform("one", READY)

    stage.until("one", "RUNNING")


def test_a_worker_whose_python_is_a_script_is_heard_through_its_child(stage: Theatre) -> None:
    stage.perform("one", CHILD_SPEAKS)

    stage.until("one", "RUNNING")


def test_a_stranger_is_sent_away(stage: Theatre) -> None:
    stage.perform("one", "wait()")
    with stage.connect() as connection:
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(b'{"type":"ready"}\n')

        assert eventually(lambda: hung_up(connection), "it is sent away")
    assert stage.word("one") == "STARTING"


@pytest.mark.root
def test_another_user_is_sent_away(stage: Theatre) -> None:
    stage.perform("one", "wait()")
    says = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(9))"

    said = subprocess.run(
        ["/usr/bin/python3", "-IS", "-c", says, str(stage.report)],
        user=NOBODY,
        group=NOBODY,
        capture_output=True,
        check=False,
    )

    assert said.stdout == b"b''\n" or b"ConnectionResetError" in said.stderr
    assert stage.word("one") == "STARTING"


def test_a_process_that_left_the_session_of_its_worker_is_a_stranger(stage: Theatre) -> None:
    stage.perform(
        "one",
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    connect()\n"
        "    print('sent away', daemon.recv(9), flush=True)\n"
        "    os._exit(0)\n"
        "wait()",
    )

    eventually(lambda: "sent away b''" in stage.output("one"), "it is sent away")
    assert stage.word("one") == "STARTING"


def test_a_worker_has_one_connection_and_the_first_one_counts(stage: Theatre) -> None:
    stage.perform(
        "one",
        "connect(); first = daemon; say(HELLO); wait_for_go()\n"
        "connect(); print('second', daemon.recv(9), flush=True)\n"
        "daemon = first; say(READY); wait()",
    )

    stage.until("one", "RUNNING")
    assert "second b''" in stage.output("one")


GARBAGE = {
    "no JSON": r"b'garbage\n'",
    "no text": r"b'\xff\xfe\n'",
    "nothing": r"b'\n'",
    "another type": r"""b'{"type":"explode"}\n'""",
    "an unknown field": r"""b'{"type":"hello","reason":[]}\n{"type":"idle"}\n'""",
    "deep nesting": r"b'[' * 60_000 + b'\n'",
    "deep nesting inside": r"""b'{"type":"hello","x":' + b'[' * 60_000 + b'\n'""",
    "no end": r"b'x' * 70_000",
    "much": r"b'x' * 10_000_000",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_costs_only_its_own_connection(
    stage: Theatre, garbage: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage.perform(
        "bad",
        f"connect()\ntry:\n    daemon.sendall({garbage})\nexcept OSError:\n    pass\n"
        "try:\n    daemon.recv(9)\nexcept OSError:\n    pass\n"
        "print('gone', flush=True)\nwait()",
        QUICK,
    )
    stage.perform("good", READY)

    eventually(lambda: "gone" in stage.output("bad"), "its connection has gone")
    stage.until("good", "RUNNING")
    stage.until("bad", "RUNNING")
    assert [record.levelname for record in caplog.records if "no longer heard" in record.message] == [
        "WARNING"
    ]


def test_whose_words_were_garbage_is_not_heard_again(
    stage: Theatre, caplog: pytest.LogCaptureFixture
) -> None:
    stage.perform(
        "one",
        "for number in range(100):\n"
        "    connect()\n"
        "    try:\n"
        "        say('garbage'); daemon.recv(9)\n"
        "    except OSError:\n"
        "        pass\n"
        "print('tired', flush=True)\nwait()",
    )

    eventually(lambda: "tired" in stage.output("one"), "it has tried 100 times")
    assert len([record for record in caplog.records if "no longer heard" in record.message]) == 1


FLOODS = {
    "ready": "READY",
    "hello": "HELLO",
    "words": """'{"type":"remark","text":"%s"}' % ("x" * 1000)""",
    "unhooked": """'{"type":"unhooked","reason":"%s"}' % ("x" * 1000)""",
    "idle": "IDLE",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_worker_that_never_stops_talking_disturbs_nobody(
    stage: Theatre, flood: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    stage.perform("loud", f"connect(); say(HELLO)\nflood = {flood}\nwhile True:\n    say(*[flood] * 100)")
    before = psutil.Process().memory_info().rss
    for number in range(5):
        stage.perform(f"good{number}", READY)
    for number in range(5):
        stage.until(f"good{number}", "RUNNING")

    assert psutil.Process().memory_info().rss - before < 30_000_000
    assert len(caplog.records) <= 1


def test_a_worker_that_never_stops_talking_can_be_stopped(stage: Theatre) -> None:
    stage.perform("loud", "connect(); say(HELLO)\nwhile True:\n    say(*[READY] * 100)")
    stage.until("loud", "RUNNING")

    stage.put("loud", Wanted(Goal.DOWN))

    stage.until("loud", "STOPPED")


@pytest.mark.parametrize(
    "then", ["while True: say(*[READY] * 100)", "daemon.recv(9)"], ids=["talks", "waits"]
)
def test_a_child_that_keeps_the_connection_open_does_not_hide_the_end_of_its_worker(
    stage: Theatre, then: str
) -> None:
    stage.perform(
        "one",
        "connect(); say(HELLO); wait_for_go(); say(IDLE)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os.setsid()\n"
        "    try:\n"
        f"        {then}\n"
        "    finally:\n"
        "        os._exit(0)\n"
        "print(child)",
    )

    stage.until("one", "IDLE")
    child = int(stage.output("one"))
    eventually(lambda: not is_alive(child), "the child has heard that nobody listens")


def test_a_worker_that_hangs_up_runs_on(stage: Theatre) -> None:
    stage.perform("one", "connect(); say(HELLO); wait_for_go(); say(READY); daemon.close(); wait()")
    stage.until("one", "RUNNING")
    pid = stage.pid("one")

    stage.perform("witness", READY)
    stage.until("witness", "RUNNING")

    assert (stage.word("one"), stage.pid("one")) == ("RUNNING", pid)


@pytest.mark.parametrize("last", ["daemon.close()", "say('garbage')", "os.closerange(3, 100)"])
def test_a_worker_that_is_lost_before_it_was_ready_runs_unhooked(stage: Theatre, last: str) -> None:
    stage.perform("one", f"connect(); say(HELLO); wait_for_go(); {last}; wait()", QUICK)

    stage.until("one", "RUNNING")


def test_a_worker_that_dies_before_it_was_ready_is_never_seen_running(stage: Theatre) -> None:
    words: list[str] = []
    stage.perform("one", "connect(); say(HELLO); wait_for_go(); print('goes', flush=True); wait()")
    eventually(lambda: "goes" in stage.output("one"), "it is connected")
    stage.thread.do(stage.loop.fleet.add, "one", Policy(settle=0.001))
    stage.thread.do(stage.loop.listeners.add, lambda name: words.append(shown.word(stage.loop.fleet[name])))

    pid = stage.pid("one")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    stage.until("one", "BACKOFF")
    assert words == ["BACKOFF"]


def test_workers_that_come_and_go_leave_no_descriptor_behind(stage: Theatre) -> None:
    stage.add("one", IDLES)
    counts = []
    for _ in range(5):
        stage.put("one", UP)
        stage.until("one", "IDLE")
        counts.append(psutil.Process().num_fds())

    assert counts == [counts[0]] * 5


def is_alive(pid: int) -> bool:
    """Whether it is a process that runs, so no zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def hung_up(connection: socket.socket) -> bool:
    """Whether the other end has hung up."""
    try:
        return connection.recv(9) == b""
    except ConnectionResetError:
        return True
