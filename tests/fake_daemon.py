"""Something on a control socket that says what a test wants it to say, and the command line that asks it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from linodmgr import protocol

LINODMGR = str(Path(sys.executable).with_name("linodmgr"))
CONFIG = """\
[daemon]
runtime_dir = "run"
state_dir = "state"
log_dir = "log"
"""


Said = protocol.Answer | bytes
Script = Callable[[protocol.Request], Iterable[Said]]


@contextmanager
def fake_daemon(home: Path, *answers: Said | Script, hangs: bool = False) -> Iterator[list[protocol.Request]]:
    """Give every client the same answers, then hang up; yield the requests that have come.

    Instead of an answer there may be a function, which gives answers to a request as they are asked of it.
    With ``hangs`` nothing more is said after the answers, until the client goes.
    """
    control = configure(home) / "run" / "control"
    control.parent.mkdir(exist_ok=True)
    requests: list[protocol.Request] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(control))
        listener.listen()
        server = threading.Thread(target=_serve, args=(listener, requests, answers, hangs))
        server.start()
        try:
            yield requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
            control.unlink()


def _serve(
    listener: socket.socket,
    requests: list[protocol.Request],
    answers: Sequence[Said | Script],
    hangs: bool,
) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # shut down
        with connection, connection.makefile("rb") as lines:
            if line := lines.readline():
                requests.append(protocol.decode_request(line))
                with suppress(ConnectionError):  # the client has gone before it has heard all
                    for said in _said(answers, requests[-1]):
                        connection.sendall(said if isinstance(said, bytes) else protocol.encode(said))
            if hangs:
                lines.read()


def _said(answers: Sequence[Said | Script], request: protocol.Request) -> Iterator[Said]:
    for one in answers:
        if callable(one):
            yield from one(request)
        else:
            yield one


def configure(home: Path) -> Path:
    """Write a configuration into ``home`` that keeps everything there; return ``home``."""
    (home / "sites.toml").write_text(CONFIG)
    return home


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command that means the daemon in ``home``."""
    return {**os.environ, "LINODMGR_CONFIG": str(home / "sites.toml"), **more}


def linodmgr(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Return what ``linodmgr *arguments`` did, into pipes, with ``more`` in its environment."""
    return subprocess.run(
        [LINODMGR, *arguments],
        env=environment(home, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(home: Path, arguments: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield ``linodmgr *arguments`` while it runs, its output in pipes; it is killed at the end."""
    process = subprocess.Popen(
        [LINODMGR, *arguments],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
