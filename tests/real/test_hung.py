"""A worker that does not go on is found, its stacks are written, and it is started again at once."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.core.job_states import attention
from linodmgr.core.states import Goal, Wanted
from tests.eventually import eventually
from tests.real.job_plays import GOES, known, recorded, until
from tests.real.puppets import Theatre, theatre

# Hangs in its first life; in the second it is well.
FIRST = """\
import faulthandler, threading
first = not os.path.exists(os.path.dirname(report) + "/lived")
open(os.path.dirname(report) + "/lived", "w").close()
number = signal.SIGRTMIN + 5
faulthandler.register(number, file=2, all_threads=True)
def fetch():
    wait()
"""


@pytest.fixture
def stage(runtime: Path) -> Iterator[Theatre]:
    with theatre(runtime) as made:
        yield made


def limit(stage: Theatre, name: str, **limits: object) -> None:
    """Let a site have limits from its next start on, and start it."""
    stage.limit(name, **limits)
    stage.put(name, Wanted(Goal.UP))


def test_a_job_that_runs_too_long_is_killed_and_fails_with_the_line_it_hung_in(
    stage: Theatre, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    play = "ready(number)\nif first:\n    begin(1, thread=threading.get_ident()); fetch()\nwait()"
    stage.add("one", GOES + FIRST + play)
    limit(stage, "one", jobs={"send mails": 0.3})

    job = until(stage, "one", "mails", "failed")
    stage.until("one", "RUNNING")

    assert "most recent call first" in stage.output("one")
    assert job.error.startswith("hung for 0 s in env/bin/python:")
    assert job.error.endswith(" wait, its worker was killed") or " fetch, " in job.error
    (end,) = recorded(stage, "one", "exit")
    assert end["cause"].startswith("send mails hung for 0 s in ")
    assert end["cause"].endswith(": killed by SIGKILL")
    assert "BACKOFF" not in caplog.text
    assert "QUEUED" not in caplog.text.partition("RUNNING")[2]


def test_a_loop_that_gives_no_sign_of_life_is_killed(stage: Theatre) -> None:
    play = "ready(number)\nif first: fetch()\n"
    play += "while True:\n    tell(type='tick', at=time.time()); signal.sigtimedwait([], 0.1)"
    stage.add("one", GOES + FIRST + play)
    limit(stage, "one", watchdog=1.0)

    (end,) = recorded(stage, "one", "exit")
    stage.until("one", "RUNNING")

    assert end["cause"].startswith("its loop hung for ")
    assert " s in " in end["cause"]
    (line,) = stage.thread.do(lambda: attention(stage.book.of("one"), *stage.loop.instants()))
    assert line.startswith("its loop hung for ")


def test_a_loop_that_has_ended_is_killed_without_waiting(stage: Theatre) -> None:
    play = "ready()\nif first: tell(type='stalled', reason='Redis is gone')\nwait()"
    stage.perform("one", GOES + FIRST + play)

    (end,) = recorded(stage, "one", "exit")
    stage.until("one", "RUNNING")

    assert end["cause"] == "its loop ended: Redis is gone: killed by SIGKILL"


def test_while_a_job_runs_the_watchdog_sleeps(stage: Theatre) -> None:
    stage.add("one", GOES + FIRST + "ready(number)\nbegin(1)\nwait()")
    stage.add("two", GOES + "ready()\nwait()")
    limit(stage, "one", watchdog=0.3)
    limit(stage, "two", watchdog=0.3)

    recorded(stage, "two", "exit")

    job = known(stage, "one", "mails")
    assert job is not None
    assert job.run is not None
    assert stage.word("one") == "RUNNING"


def test_a_site_whose_loop_has_not_begun_has_no_watchdog(stage: Theatre) -> None:
    stage.add("one", "connect(); say(HELLO); wait_for_go(); wait()")
    stage.add("two", GOES + "ready()\nwait()")
    limit(stage, "one", watchdog=0.2)
    limit(stage, "two", watchdog=0.3)

    recorded(stage, "two", "exit")

    assert stage.word("one") == "STARTING"


def test_limits_that_are_changed_count_at_once(stage: Theatre) -> None:
    stage.perform("one", GOES + "ready()\nbegin(1)\nwait()")
    eventually(lambda: (job := known(stage, "one", "mails")) and job.run, "it runs")

    stage.limit("one", job_timeout=0.1)
    stage.thread.do(stage.book.adjust)

    assert until(stage, "one", "mails", "failed").error.startswith("hung for ")


@pytest.mark.parametrize("signal_number", [9, 15, 1, -1, 0, 1000])
def test_no_signal_is_sent_that_a_runner_must_not_choose(stage: Theatre, signal_number: int) -> None:
    stage.add("one", GOES + f"ready({signal_number})\nbegin(1)\nwait()")
    limit(stage, "one", job_timeout=0.2)

    assert until(stage, "one", "mails", "failed").error == "hung for 0 s, its worker was killed"
    end, *_ = recorded(stage, "one", "exit")  # the next one hangs, too
    assert end["cause"].endswith("killed by SIGKILL")


def test_a_worker_that_hangs_and_is_stopped_stays_down(stage: Theatre) -> None:
    stage.add("one", GOES + FIRST + "ready(number)\nbegin(1)\nwait()")
    limit(stage, "one", job_timeout=0.1)
    stage.until("one", "STOPPING")

    stage.put("one", Wanted(Goal.DOWN))

    stage.until("one", "STOPPED")


def test_runs_of_a_worker_that_dies_have_failed_with_the_cause(stage: Theatre) -> None:
    stage.perform(
        "one", GOES + "ready(); begin(1); begin(2, 'check', stored=True); hear('stored'); os._exit(0)"
    )

    assert until(stage, "one", "mails", "failed").error.startswith("its worker exited with status 0 after ")
    assert until(stage, "one", "check", "failed").error.startswith("its worker exited with status 0 after ")
