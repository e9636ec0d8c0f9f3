"""Starts a daemon and waits until it is ready: through systemd if it is installed there."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from linodmgr.directories import own
from linodmgr.errors import LinodmgrError
from linodmgr.places import SYSTEM_CONFIG

UNIT = "linodmgr.service"
READY_WITHIN = 60.0  # seconds without a word from it
CHUNK = 65536  # bytes
FAILED = 1


def start(config: Path) -> int:
    """Return 0 once a daemon for ``config`` is ready, else the exit code of one that ended and said why.

    Raises LinodmgrError if it did not say so.
    """
    refuse_without_root(config)
    return _through_systemd(config) if _systemd_has_it(config) else _spawn(config)


@contextlib.contextmanager
def turn(runtime_dir: Path) -> Iterator[None]:
    """Keep others of our user from starting the same daemon meanwhile, and wait for those who do."""
    with contextlib.ExitStack() as stack:
        # What is wrong with the place the daemon itself says best.
        with contextlib.suppress(LinodmgrError, OSError):
            own(runtime_dir, 0o755 if os.geteuid() == 0 else 0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            lock = os.open(runtime_dir / "starting.lock", flags, 0o600)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def become(config: Path) -> NoReturn:
    """Turn this process into the daemon."""
    refuse_without_root(config)
    # From here `python -m` must not find modules in whatever directory root happens to be in.
    os.chdir("/")
    os.execv(sys.executable, _arguments(config))


def refuse_without_root(config: Path) -> None:
    """Raise LinodmgrError if ``config`` is that of the whole system, and we are not root."""
    if config == SYSTEM_CONFIG and os.geteuid() != 0:
        raise LinodmgrError(f"cannot start the daemon of {config}: no permission: become root")


def _arguments(config: Path) -> list[str]:
    return [sys.executable, "-m", "linodmgr.daemon", "--config", str(config)]


def _systemd_has_it(config: Path) -> bool:
    if config != SYSTEM_CONFIG or os.geteuid() != 0 or not os.path.isdir("/run/systemd/system"):
        return False
    with contextlib.suppress(FileNotFoundError):
        found = subprocess.run(
            ["systemctl", "cat", UNIT], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return found.returncode == 0
    return False


def _through_systemd(config: Path) -> int:
    from linodmgr.config import load

    load(config)  # what the daemon would refuse is said here, not only in the journal
    if subprocess.run(["systemctl", "start", UNIT], check=False).returncode != 0:
        raise LinodmgrError(f"cannot start {UNIT}: see 'linodmgr check' and 'journalctl -u {UNIT}'")
    return 0


def _spawn(config: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="linodmgr-") as place, _socket(place) as notices:
        daemon = subprocess.Popen(
            [*_arguments(config), "--background"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            env={**os.environ, "NOTIFY_SOCKET": notices.getsockname()},
        )
        try:
            return _wait(daemon, notices)
        except BaseException:
            daemon.terminate()
            raise


def _socket(directory: str) -> socket.socket:
    """Return a socket for sd_notify(3) that only we, and who runs as we do, can reach."""
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(os.path.join(directory, "notify"))
    return notices


def _wait(daemon: "subprocess.Popen[bytes]", notices: socket.socket) -> int:
    assert daemon.stdout is not None
    said = False
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(daemon.stdout).fileno()
        os.set_blocking(output, False)
        pidfd = os.pidfd_open(daemon.pid)
        stack.callback(os.close, pidfd)
        poll = select.poll()
        for descriptor in (notices.fileno(), output, pidfd):
            poll.register(descriptor, select.POLLIN)
        while ready := {descriptor for descriptor, _ in poll.poll(READY_WITHIN * 1000)}:
            if notices.fileno() in ready and b"READY=1" in notices.recv(CHUNK).splitlines():
                return 0
            if output in ready:
                words = _pass_on(output)
                said = said or words
                if not words:
                    poll.unregister(output)
            elif pidfd in ready:
                return _ended(daemon.wait(), said)
    raise LinodmgrError(f"cannot start the daemon: not ready within {READY_WITHIN:g} s")


def _pass_on(output: int) -> bool:
    """Tell what the daemon says; return whether there is anything."""
    chunk = os.read(output, CHUNK)
    click.echo(chunk.decode(errors="replace"), nl=False, err=True)
    return bool(chunk)


def _ended(code: int, said: bool) -> int:
    if code > 0 and said:
        return code
    how = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with status {code}"
    raise LinodmgrError(f"cannot start the daemon: {how}")
