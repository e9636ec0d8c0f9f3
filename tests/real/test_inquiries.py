"""Who is no worker may ask for the past of a site: its own user and root, and nobody else."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.daemon.inquiries import AT_ONCE_OF_ONE_USER
from tests.eventually import eventually
from tests.real.job_plays import write_history
from tests.real.puppets import Theatre, theatre

NOBODY = 65534
ASKS = """\
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])
try:
    s.sendall(json.dumps(dict(type="inquiry", directory=sys.argv[2], version=1)).encode() + b"\\n")
    while data := s.recv(65536):
        sys.stdout.write(data.decode())
except OSError:
    pass
"""
RUN = {"type": "ended", "job": "check", "name": "c", "at": 5.0, "outcome": "ok", "duration": 2.0}


@pytest.fixture
def stage(runtime: Path) -> Iterator[Theatre]:
    with theatre(runtime) as made:
        made.add("one", "wait()")
        write_history(made, "one", RUN)
        yield made


def ask(stage: Theatre, directory: Path, uid: int | None = None) -> list[str]:
    """Return the ids of the jobs that somebody is told of."""
    done = subprocess.run(
        ["/usr/bin/python3", "-IS", "-c", ASKS, str(stage.report), str(directory)],
        capture_output=True,
        text=True,
        check=True,
        user=uid,
        group=uid,
    )
    return [job["id"] for line in done.stdout.splitlines() for job in json.loads(line)["jobs"]]


def test_its_own_user_is_told(stage: Theatre) -> None:
    assert ask(stage, stage.home / "one") == ["check"]
    assert ask(stage, stage.home / "one" / ".." / "one/") == ["check"]


def test_a_site_that_is_not_ours_is_not_known(stage: Theatre) -> None:
    assert ask(stage, stage.home / "two") == []
    assert ask(stage, Path("/")) == []


@pytest.mark.root
def test_another_user_is_told_nothing(stage: Theatre) -> None:
    assert ask(stage, stage.home / "one", NOBODY) == []


@pytest.mark.root
def test_the_user_of_one_site_is_told_of_that_one_only(stage: Theatre) -> None:
    stage.add("two", "wait()", uid=NOBODY)
    write_history(stage, "two", {**RUN, "job": "mails"})

    assert ask(stage, stage.home / "two", NOBODY) == ["mails"]
    assert ask(stage, stage.home / "one", NOBODY) == []
    assert ask(stage, stage.home / "two", 0) == ["mails"]


@pytest.mark.parametrize(
    "says",
    [
        b"garbage\n",
        b"\n",
        b'{"type":"ready"}\n',
        b'{"type":"inquiry","directory":"/x","version":99}\n',
        b"[" * 60_000 + b"\n",
        b"x" * 70_000,
    ],
)
def test_garbage_is_hung_up_on(stage: Theatre, says: bytes) -> None:
    with stage.connect() as connection:
        try:
            connection.sendall(says)
            assert connection.recv(9) == b""
        except (BrokenPipeError, ConnectionResetError):
            pass


def test_who_says_nothing_is_hung_up_on_and_too_many_are(stage: Theatre) -> None:
    many = [stage.connect() for _ in range(AT_ONCE_OF_ONE_USER + 1)]
    try:
        assert many[-1].recv(9) == b"", "it is one too many"
        assert all(connection.recv(9) == b"" for connection in many)
    finally:
        for connection in many:
            connection.close()
    assert ask(stage, stage.home / "one") == ["check"]


def test_who_does_not_read_the_answer_is_hung_up_on(stage: Theatre) -> None:
    jobs = [{"id": f"{number:0400}", "name": "x", "next_run": 5.0} for number in range(3000)]
    write_history(stage, "one", {"type": "jobs", "jobs": jobs})
    with stage.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(
            json.dumps({"type": "inquiry", "directory": str(stage.home / "one")}).encode() + b"\n"
        )

        eventually(lambda: _all_read(connection), "it is hung up on")


def _all_read(connection: socket.socket) -> bool:
    """Whether there is an end; a little is read each time."""
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True
