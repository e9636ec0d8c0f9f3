"""What linodmgr knows of the jobs of this site, for a list that is printed in a new process."""

import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import schedule

from linodmgr.site.schedule_jobs import identities

VERSION = 1  # of the protocol
REPORT_VARIABLE = "LINODMGR_REPORT"  # names the report socket of a daemon in an unusual place
TIME_LIMIT = 1.0  # seconds
LIMIT = 8 * 1024 * 1024  # bytes that a daemon may say


def overlay(jobs: Sequence[schedule.Job]) -> None:
    """Let ``jobs``, which no run of this process has changed, say when a worker ran them last.

    Without a linodmgr that knows this site they stay as they are.
    """
    with contextlib.suppress(OSError, ValueError, OverflowError):
        known = {job["id"]: job for job in _past(_directory())}
        for job, identity in zip(jobs, identities(jobs), strict=True):
            _take(job, known.get(identity, {}))


def _take(job: schedule.Job, past: dict[str, Any]) -> None:
    started, next_run = past.get("started"), past.get("next_run")
    if isinstance(started, (int, float)):
        job.last_run = datetime.fromtimestamp(started)  # noqa: DTZ006 - as `schedule` has it
    if isinstance(next_run, (int, float)) and next_run > time.time():
        job.next_run = datetime.fromtimestamp(next_run)  # noqa: DTZ006


def _past(directory: str) -> list[dict[str, Any]]:
    """Return what the daemon of this site says of its jobs, empty if there is none. Raises ValueError."""
    deadline = time.monotonic() + TIME_LIMIT
    for path in _sockets():
        try:
            words = _ask(path, directory, deadline)
        except OSError:
            continue
        jobs = [job for word in words if word.get("type") == "past" for job in word.get("jobs") or ()]
        if jobs:
            return [job for job in jobs if isinstance(job, dict) and isinstance(job.get("id"), str)]
    return []


def _ask(path: str, directory: str, deadline: float) -> list[dict[str, Any]]:
    """Return what the daemon at ``path`` answers. Raises OSError, ValueError."""
    words: list[dict[str, Any]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        connection.connect(path)
        question = {"type": "inquiry", "directory": directory, "version": VERSION}
        connection.sendall(json.dumps(question).encode() + b"\n")
        rest, size = b"", 0
        while size < LIMIT and not any(word.get("type") == "go" for word in words[-1:]):
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            more = connection.recv(65536)
            if not more:
                break
            size += len(more)
            *lines, rest = (rest + more).split(b"\n")
            words += [word for word in map(json.loads, lines) if isinstance(word, dict)]
    return words


def _sockets() -> Iterator[str]:
    """Yield where the daemon may be: as told, root's, our own one's."""
    told = os.environ.get(REPORT_VARIABLE)
    if told:
        yield told
        return
    yield "/run/linodmgr/report"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        yield os.path.join(runtime, "linodmgr", "report")
    own = os.path.join(tempfile.gettempdir(), f"linodmgr-{os.geteuid()}")
    with contextlib.suppress(OSError):
        if os.lstat(own).st_uid == os.geteuid():  # others may make one of this name, too
            yield os.path.join(own, "report")


def _directory() -> str:
    """Return the directory of manage.py."""
    return os.path.dirname(os.path.abspath(sys.argv[0]))
