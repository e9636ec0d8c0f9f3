"""A runner under test, and what stands for the daemon: takes its connection and keeps what it says."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import schedule

from linodmgr.daemon import stop_signal
from linodmgr.launch import lay_out
from linodmgr.protocol import encode
from linodmgr.runner_protocol import Go, Hello, Past, PastJob, Report, Word, decode_report
from tests.eventually import eventually

R = TypeVar("R", bound=Report)

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}


@dataclass
class Runner:
    """One runner in run mode."""

    process: subprocess.Popen[bytes]
    listening: socket.socket
    output: Path
    connection: socket.socket | None = None
    said: list[Report] = field(default_factory=list)
    _rest: bytes = b""

    def begin(self, past: Sequence[PastJob] = (), **limits: Any) -> None:
        """Take the connection and let the runner go on."""
        self.expect(Hello)
        self.go(past, **limits)

    def go(self, past: Sequence[PastJob] = (), **limits: Any) -> None:
        """Say what is known of ``past`` runs, and go."""
        for start in range(0, len(past), 100):
            self.say(Past(list(past[start : start + 100])))
        self.say(Go(**limits))

    def say(self, word: Word) -> None:
        """Tell the runner something."""
        assert self.connection is not None
        self.connection.setblocking(True)
        self.connection.sendall(encode(word))
        self.connection.setblocking(False)

    def expect(self, kind: type[R]) -> R:
        """Wait for a report of ``kind`` and return it."""

        def found() -> list[R]:
            self._hear()
            return [report for report in self.said if isinstance(report, kind)]

        return eventually(found, f"{kind.__name__} said; {self.output}", 60)[0]

    def expects(self, kind: type[R], count: int = 1, **fields: object) -> list[R]:
        """Wait for ``count`` reports of ``kind`` that have these ``fields``, and return them all."""

        def found() -> list[R]:
            self._hear()
            told: list[R] = [report for report in self.said if isinstance(report, kind)]
            fitting = [
                report
                for report in told
                if all(getattr(report, name) == value for name, value in fields.items())
            ]
            return fitting if len(fitting) >= count else []

        return eventually(found, f"{count} {kind.__name__} with {fields}; {self.output}", 60)

    def take_again(self) -> None:
        """Take another connection of the runner, which has lost its own."""
        assert self.connection is not None
        self.connection.close()
        self.connection, self._rest = None, b""

    def come_back(self) -> None:
        """Be a daemon that has come after the one that is gone; it has heard nothing yet."""
        path = self.output.with_name("report")
        path.unlink()
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()
        self.listening.setblocking(False)
        self.connection, self.said, self._rest = None, [], b""

    def hang_up(self) -> None:
        """Be a daemon that is gone."""
        self.listening.close()
        assert self.connection is not None
        self.connection.close()

    def text(self) -> str:
        """Return what was printed so far."""
        return self.output.read_text(errors="replace")

    def prints(self, words: str) -> None:
        """Wait until ``words`` were printed."""
        eventually(lambda: words in self.text(), f"{words!r} printed, there is {self.text()!r}", 60)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send the stop signal to the main process, as the daemon does."""
        pidfd = os.pidfd_open(self.process.pid)
        try:
            stop_signal.send(self.process.pid, pidfd, number)
        finally:
            os.close(pidfd)

    def ends(self) -> int:
        """Wait for the end and return the exit status; then all that was said is in ``said``."""
        status = self.process.wait(timeout=60)
        if self.listening.fileno() >= 0:
            self._hear()
        return status

    def _hear(self) -> None:
        if self.connection is None and self.listening.fileno() >= 0:
            with contextlib.suppress(BlockingIOError):
                self.connection, _ = self.listening.accept()
                self.connection.setblocking(False)
        if self.connection is None or self.connection.fileno() < 0:
            return
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while more := self.connection.recv(65536):
                self._rest += more
        *lines, self._rest = self._rest.split(b"\n")
        self.said += map(decode_report, lines)


@contextmanager
def started(
    place: Path,
    directory: Path | str,
    arguments: Sequence[str] = ("linod",),
    python: Path | str = sys.executable,
    environment: Mapping[str, str] | None = None,
    **options: object,
) -> Iterator[Runner]:
    """Yield a runner of the site in ``directory``; what is left of it at the end is killed."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(place / "report"))
    listening.listen()
    listening.setblocking(False)
    output = place / "output"
    reading, writing = os.pipe()
    settings = {"report": place / "report", "lock": writing, "timeout": 60, **options}
    with output.open("wb") as file:
        process = subprocess.Popen(
            command(place, directory, arguments, python, "run", settings),
            cwd="/",
            env={**ENVIRONMENT, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[writing],
        )
    os.close(writing)
    runner = Runner(process, listening, output)
    try:
        yield runner
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(reading)
        listening.close()
        runner.listening.close()
        if runner.connection is not None:
            runner.connection.close()


def listed(
    place: Path,
    directory: Path | str,
    arguments: Sequence[str] = ("linod",),
    python: Path | str = sys.executable,
    environment: Mapping[str, str] | None = None,
    **options: object,
) -> Any:
    """Return what the list mode prints."""
    done = list_mode(place, directory, arguments, python, environment, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def list_mode(
    place: Path,
    directory: Path | str,
    arguments: Sequence[str] = ("linod",),
    python: Path | str = sys.executable,
    environment: Mapping[str, str] | None = None,
    **options: object,
) -> "subprocess.CompletedProcess[str]":
    """Return what the list mode did."""
    return subprocess.run(
        command(place, directory, arguments, python, "list", options),
        cwd="/",
        env={**ENVIRONMENT, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def command(
    place: Path,
    directory: Path | str,
    arguments: Sequence[str],
    python: Path | str,
    mode: str,
    options: Mapping[str, object],
) -> list[str]:
    """Return the runner's command line; its files are laid out as the daemon lays them out."""
    settings = {
        "mode": mode,
        "directory": directory,
        "manage": "manage.py",
        "stop-signal": int(signal.SIGTERM),
        **{key.replace("_", "-"): value for key, value in options.items()},
    }
    runner = lay_out(place) / "runner.py"
    return [str(python), str(runner), *(f"--{k}={v}" for k, v in settings.items() if v), "--", *arguments]


def pythons() -> list[str]:
    """Return a Python of each version from 3.6 on that is on this machine, at least this one."""
    found = []
    for minor in range(6, 20):
        installed = shutil.which(f"python3.{minor}")
        kept = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
        if installed or kept:
            found.append(str(kept[-1] if kept else installed))
    return found or [sys.executable]


def copy_schedule(directory: Path) -> None:
    """Put the `schedule` package into ``directory``, for a Python that has none."""
    assert schedule.__file__ is not None
    shutil.copy(schedule.__file__, directory / "schedule.py")
