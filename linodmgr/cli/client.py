"""Asks the daemon: one request, its answers, and the ways in which it cannot be reached."""

import contextlib
import errno
import grp
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from linodmgr import protocol
from linodmgr.cli import versions
from linodmgr.errors import DaemonNotRunning, LinodmgrError

CONNECT_LIMIT = 5  # seconds; longer only if very many wait
ANSWER_WITHIN = 10.0  # seconds, for what the daemon answers at once
SERVICE_SOCKET = Path("/run/linodmgr/control")
PIECE = 65536  # bytes read at once
# Asked twice, they do the same.
HARMLESS = (
    protocol.Status,
    protocol.Jobs,
    protocol.History,
    protocol.ListJobs,
    protocol.Start,
    protocol.Stop,
    protocol.Reload,
    protocol.Upgrade,
)


class NoPermission(LinodmgrError):
    """The daemon runs, but this user may not talk to it."""


class StaleSocket(DaemonNotRunning):
    """The control socket is there, but the daemon that made it is dead."""


class DaemonGone(DaemonNotRunning):
    """The daemon has ended while it was listened to."""


class OtherVersion(LinodmgrError):
    """What the daemon says cannot be understood."""


class Refusal(LinodmgrError):
    """The daemon did nothing; the reason and the exit code are its own."""

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


class Upgraded(LinodmgrError):
    """The daemon became another version and could not take us along; what was asked for goes on."""


def ask(
    control: Path, request: protocol.Request, within: float | None = ANSWER_WITHIN
) -> Iterator[protocol.Answer]:
    """Yield the daemon's answers to ``request``; the last one is Done.

    ``within``: seconds to wait for each answer; None: as long as the daemon lives.
    Raises DaemonNotRunning, StaleSocket, NoPermission, OtherVersion, Refusal (for the answer Refused)
    or LinodmgrError.
    """
    while True:
        told = False
        with connect(control) as connection:
            try:
                for answer in converse(connection, control, request, within):
                    told = told or not isinstance(answer, protocol.Progress)
                    yield answer
            except Upgraded:
                if told or not isinstance(request, HARMLESS):
                    raise
            else:
                return


def connect(control: Path) -> socket.socket:
    """Return a connection to the daemon. Raises DaemonNotRunning, StaleSocket or NoPermission."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Not settimeout: a full queue would then be an error at once instead of a short wait.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", CONNECT_LIMIT, 0))
    try:
        connection.connect(str(control))
    except OSError as error:
        connection.close()
        raise _unreachable(control, error) from error
    return connection


def converse(
    connection: socket.socket, control: Path, request: protocol.Request, within: float | None
) -> Iterator[protocol.Answer]:
    """Yield the answers to ``request`` on an open connection; see `ask`."""
    connection.settimeout(within)
    with connection.makefile("rb") as lines:
        try:
            _send(connection, protocol.encode(request))
            while line := lines.readline(protocol.ANSWER_LIMIT):
                answer = _decode(control, line)
                if isinstance(answer, protocol.Refused):
                    raise _refusal(answer)
                if isinstance(answer, protocol.Snapshot | protocol.Done):
                    versions.compare(answer.version, is_upgraded=isinstance(request, protocol.Upgrade))
                yield answer
                if isinstance(answer, protocol.Done):
                    return
        except TimeoutError as error:
            raise LinodmgrError(
                f"cannot hear from the daemon at {control}: no answer within {within:g} s"
            ) from error
        except ConnectionError as error:
            raise _cut_off(control) from error
    raise _cut_off(control)


def overhear(
    connection: socket.socket, control: Path, request: protocol.Request, pause: Callable[[], float | None]
) -> Iterator[protocol.Answer | None]:
    """Yield the answers to ``request`` as they come, and None whenever there was none for a while.

    ``pause``: after how many seconds that is; None: never. The last answer is Done. Notices at once if
    nobody reads our standard output any more. Raises as `ask` does, DaemonGone instead of being cut off.
    """
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    waiting.register(1, 0)  # POLLERR and POLLHUP are always told: the reader is gone
    _send(connection, protocol.encode(request))
    heard = bytearray()
    while True:
        seconds = pause()
        told = dict(waiting.poll(None if seconds is None else seconds * 1000))
        if 1 in told:
            raise BrokenPipeError
        if not told:
            yield None
            continue
        try:
            piece = connection.recv(PIECE)
        except ConnectionError as error:
            raise gone(control) from error
        if not piece:
            raise gone(control)
        heard += piece
        if b"\n" not in piece:
            if len(heard) > protocol.ANSWER_LIMIT:
                raise _unintelligible(control)
            continue
        *lines, heard = heard.split(b"\n")
        for line in lines:
            answer = _decode(control, bytes(line))
            if isinstance(answer, protocol.Refused):
                raise _refusal(answer)
            yield answer
            if isinstance(answer, protocol.Done):
                return


def gone(control: Path) -> DaemonGone:
    """Return what is told when the daemon has ended."""
    return DaemonGone(f"cannot hear from the daemon at {control} any more: it has ended")


def pid_of(connection: socket.socket) -> int:
    """Return the pid of the daemon at the other end; 0 if it cannot be seen from here."""
    size = struct.calcsize("3i")
    pid, _uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)


def _refusal(refused: protocol.Refused) -> LinodmgrError:
    if refused.again:
        return Upgraded("the daemon has been upgraded meanwhile; what was asked for goes on")
    return Refusal(refused.reason, refused.exit_code)


def _send(connection: socket.socket, line: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # A daemon that hangs up at once may have said why.
        connection.sendall(line)


def _decode(control: Path, line: bytes) -> protocol.Answer:
    try:
        return protocol.decode_answer(line)
    except ValueError as error:
        raise _unintelligible(control) from error


def _unintelligible(control: Path) -> OtherVersion:
    return OtherVersion(
        f"cannot understand the daemon at {control}: "
        "it is of another version than this command: restart it after an upgrade"
    )


def _cut_off(control: Path) -> LinodmgrError:
    return LinodmgrError(f"cannot hear from the daemon at {control}: it hung up before it was done")


def _unreachable(control: Path, error: OSError) -> LinodmgrError:
    what = f"cannot reach the daemon at {control}"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        where = "linodmgr.service" if control == SERVICE_SOCKET else "it"
        return DaemonNotRunning(f"{what}: is {where} running?")
    if isinstance(error, PermissionError):
        group = _group_of(control)
        who = f"root or a member of the group {group!r}" if group not in {"", "root"} else "root"
        return NoPermission(f"{what}: no permission: become {who}")
    if isinstance(error, ConnectionRefusedError):
        return StaleSocket(
            f"{what}: the socket was left by a daemon that died: 'linodmgr start' starts a new one"
        )
    if error.errno == errno.EAGAIN:
        return LinodmgrError(f"{what}: it is busy: try again later")
    return LinodmgrError(f"{what}: {error.strerror or error}")


def _group_of(control: Path) -> str:
    """Return the group that may use the socket, or of the nearest directory that can be looked at."""
    for path in (control, *control.parents):
        try:
            return grp.getgrgid(os.stat(path).st_gid).gr_name
        except PermissionError:
            continue
        except (OSError, KeyError):
            break
    return ""
