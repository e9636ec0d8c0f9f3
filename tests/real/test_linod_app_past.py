"""`manage.py linod --list` of a site that a worker runs under linodmgr: when its jobs ran last."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from linodmgr.protocol import encode
from linodmgr.runner_protocol import Go, Inquiry, Past, PastJob, decode_report
from tests.real.django_sites import make_site
from tests.real.linod_app import manage

JOBS = """\
from linodmgr.linod import schedule_daily, schedule_often

@schedule_daily
def checkdata():
    pass

@schedule_often
def read_inbox():
    pass
"""
STARTED = datetime(2026, 3, 1, 20, 0, 3, tzinfo=ZoneInfo("Europe/Brussels")).timestamp()
DAILY = "tasks.jobs.checkdata every day at 20:00"


@contextmanager
def daemon(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Answer the first who asks, and yield what that one says."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answers() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(answer)
                if not answer:
                    connection.recv(1)  # says nothing until the other one has given up

        thread = threading.Thread(target=answers)
        thread.start()
        try:
            yield heard
        finally:
            thread.join(60)


def past(*jobs: PastJob) -> bytes:
    return b"".join(encode(Past([job])) for job in jobs)


def listed(site: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines of the list."""
    monkeypatch.setenv("LINODMGR_REPORT", str(runtime / "report"))
    done = manage(site, "linod", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()[1:]


@pytest.mark.parametrize("end", [b"", encode(Go())])
def test_the_list_says_when_a_worker_ran_a_job_last(
    end: bytes, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(runtime / "site", JOBS)
    answer = (
        past(PastJob("nobody", 1.0), PastJob(DAILY, STARTED, STARTED + 1, next_run=time.time() + 90)) + end
    )

    with daemon(runtime / "report", answer) as heard:
        daily, often = listed(site, runtime, monkeypatch)

    assert "checkdata() (last run: 2026-03-01 20:00:03, next run: 2" in daily
    assert "read_inbox() (last run: [never], next run: 2" in often
    assert decode_report(heard[0]) == Inquiry(os.path.realpath(site))


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b'{"type":"past","jobs":[1,{"id":2}]}\n', b"[]\n1\n"])
def test_a_daemon_that_answers_nonsense_does_not_matter(
    answer: bytes, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(runtime / "site", JOBS)

    with daemon(runtime / "report", answer):
        lines = listed(site, runtime, monkeypatch)

    assert ["(last run: [never], " in line for line in lines] == [True, True]


@pytest.mark.parametrize("make", [lambda path: None, Path.touch], ids=["nothing", "a file"])
def test_without_a_daemon_the_list_is_as_ever(
    make: object, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(runtime / "site", JOBS)
    assert callable(make)
    make(runtime / "report")

    assert ["(last run: [never], " in line for line in listed(site, runtime, monkeypatch)] == [True, True]
