"""A stop says what it waits for, to everybody who asks; and need not wait."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.protocol import Done, Progress, Restart, Snapshot, Status, Stop
from tests.eventually import eventually
from tests.real.job_desk import JobDesk, job_desk
from tests.real.job_plays import GOES

# Its stop signal does nothing; SIGUSR1 ends the next job, SIGUSR2 the worker.
BUSY = """\
jobs = [(1, "check"), (2, "mails"), (3, "more")]
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGUSR1, lambda *_: end(*jobs.pop(0)))
signal.signal(signal.SIGUSR2, lambda *_: os._exit(0))
ready()
for run, job in {begun}:
    begin(run, job)
wait()
"""


@pytest.fixture
def office(runtime: Path) -> Iterator[JobDesk]:
    with job_desk(runtime) as made:
        yield made


def busy(office: JobDesk, jobs: int) -> int:
    """Return the pid of a worker in the middle of so many jobs."""
    office.stage.perform("noi", GOES + BUSY.format(begun=f"jobs[:{jobs}]"))
    office.stage.until("noi", "RUNNING")
    underway = office.stage.book.of("noi").underway
    eventually(lambda: office.stage.thread.do(lambda: len(underway)) == jobs, "the jobs have begun")
    pid = office.stage.pid("noi")
    assert pid is not None
    return pid


def reason(office: JobDesk) -> str:
    """Return what status says of the site."""
    snapshot = office.ask(Status())[0]
    assert isinstance(snapshot, Snapshot)
    return snapshot.sites[0].reason or ""


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        (0, ""),
        (1, "checkdata"),
        (2, "checkdata and send mails"),
        (3, "checkdata and 2 more"),
    ],
)
def test_the_jobs_that_run_are_named(office: JobDesk, jobs: int, words: str) -> None:
    pid = busy(office, jobs)

    with office.asking(Stop(("noi",))) as answers:
        progress = next(answers)
        assert isinstance(progress, Progress)
        assert (progress.state, progress.waits_for, progress.limit) == ("STOPPING", words, 30.0)
        assert re.fullmatch(rf"waiting for {words or 'its end'}, \d+ s of 30", reason(office))
        os.kill(pid, signal.SIGUSR2)
        assert isinstance(list(answers)[-1], Done)


def test_who_waits_hears_that_a_job_has_ended_and_which_is_next(office: JobDesk) -> None:
    pid = busy(office, 2)

    with office.asking(Stop(("noi",))) as answers:
        told = [next(answers)]
        for _ in range(2):
            os.kill(pid, signal.SIGUSR1)
            told.append(next(answers))
        os.kill(pid, signal.SIGUSR2)
        told += list(answers)

    waits = [one.waits_for for one in told if isinstance(one, Progress) and one.waited is not None]
    assert waits == ["checkdata and send mails", "send mails", ""]
    assert isinstance(told[-2], Progress)
    assert (told[-2].state, told[-2].waited) == ("STOPPED", None)


def test_a_stop_now_ends_a_stop_that_waits(office: JobDesk) -> None:
    busy(office, 1)

    with office.asking(Stop(("noi",))) as patient:
        next(patient)
        [done] = [one for one in office.ask(Stop(("noi",), now=True)) if isinstance(one, Done)]
        assert [(one.state, one.ok) for one in done.results] == [("STOPPED", True)]
        assert isinstance(list(patient)[-1], Done)


def test_a_restart_now_waits_for_no_job(office: JobDesk) -> None:
    before = busy(office, 1)

    done = office.ask(Restart(("noi",), now=True))[-1]

    assert isinstance(done, Done)
    assert [one.state for one in done.results] == ["RUNNING"]
    assert done.results[0].pid != before
    office.ask(Stop(("noi",), now=True))
