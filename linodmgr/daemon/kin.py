"""Which process belongs to which start of a worker: its mark, its session, its parents. Read from /proc."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

from linodmgr import birth
from linodmgr.core.told import line

SITE = "LINODMGR_SITE"  # in the environment of a worker and of what it starts: whose it is
START = "LINODMGR_START"  # unique for each start
ENVIRONMENT_READ = 1024 * 1024  # bytes; the marks are among the first variables
SITE_SHOWN = 64  # characters of a name, which anybody may have made up
COMMAND_SHOWN = 60  # characters
SHOWN = 5  # processes that are named


@dataclass(frozen=True, slots=True)
class Kin:
    """A process as proc_pid_stat(5) tells of it."""

    pid: int
    parent: int
    group: int
    session: int
    started: int  # clock ticks after boot
    is_dead: bool  # a zombie, all of it: one of its threads may hang in the kernel


def look(pid: int) -> Kin | None:
    """Return what there is to know of a process; None if it is gone."""
    fields = birth.stat(pid)
    if not fields:
        return None
    parent, group, session, threads, started = (int(fields[index]) for index in (1, 2, 3, 17, 19))
    return Kin(pid, parent, group, session, started, fields[0] in (b"Z", b"X") and threads <= 1)


def can_look() -> bool:
    """Whether anybody can be looked at: there may be no descriptor for it."""
    return look(os.getpid()) is not None


def mark(pid: int) -> str:
    """Return the mark in the environment that a process was executed with; empty if there is none."""
    return _variable(pid, START)


def site(pid: int) -> str:
    """Return for which site a process was executed, as its environment says; empty if it does not."""
    return line(_variable(pid, SITE), SITE_SHOWN)


def owner(pid: int) -> int:
    """Return the effective user of a process, -1 if it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def command(pid: int) -> str:
    """Return what a process runs, shortened, as a person would have typed it; empty if it has ended."""
    words = _read(pid, "cmdline", 4096).rstrip(b"\0").replace(b"\0", b" ") or _read(pid, "comm", 64)
    text = words.decode(errors="replace").strip()
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= COMMAND_SHOWN else text[: COMMAND_SHOWN - 4] + " ..."


def children() -> list[int]:
    """Return our children, also those that have become ours because their parent has ended.

    Those that another thread has started are not among them; that thread waits for them.
    """
    me = os.getpid()
    return [int(pid) for pid in _read(me, f"task/{me}/children", None).split()]


def children_of(pid: int) -> list[int]:
    """Return the children of another process that its main thread has started."""
    return [int(child) for child in _read(pid, f"task/{pid}/children", None).split()]


def processes() -> list[int]:
    """Return all processes of the host."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def newest() -> int:
    """Return the pid, or thread id, that was given last: proc_loadavg(5); 0 if that cannot be read."""
    try:
        with open("/proc/loadavg", "rb", buffering=0) as file:
            return int(file.read(128).split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


def words(pids: Iterable[int]) -> str:
    """Return who they are, in words: pid 12 (pg_dump x), pid 13 (sh)."""
    listed = list(pids)
    named = [f"pid {pid} ({command(pid) or 'unknown'})" for pid in listed[:SHOWN]]
    more = [f"{len(listed) - SHOWN} more"] if len(listed) > SHOWN else []
    return ", ".join([*named, *more])


def _variable(pid: int, name: str) -> str:
    wanted = name.encode() + b"="
    for variable in _read(pid, "environ", ENVIRONMENT_READ).split(b"\0"):
        if variable.startswith(wanted):
            return variable[len(wanted) :].decode("ascii", "replace")
    return ""


def _read(pid: int, name: str, limit: int | None) -> bytes:
    """Return at most ``limit`` bytes of a file in /proc, empty if that cannot be read."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
        if limit is None:
            return file.readall()
        text = b""
        while len(text) < limit and (piece := file.read(limit - len(text))):
            text += piece
        return text
    return b""
