"""What tells a process from a later one with the same pid: when it was born, and under which boot."""

import functools

STAT_READ = 4096  # bytes; the kernel writes it at once


def born(pid: int) -> int:
    """Return when a process was started, in clock ticks after boot; 0 if there is none.

    Field 22 of proc_pid_stat(5). A zombie still counts.
    """
    fields = stat(pid)
    return int(fields[19]) if fields else 0


def surely_born(pid: int) -> int:
    """Like `born`, but raise OSError if nobody can tell: there is no descriptor left, say."""
    fields = _known(pid)
    return int(fields[19]) if fields else 0


def stat(pid: int) -> list[bytes]:
    """Return the fields of proc_pid_stat(5) from the third on; empty if the process is gone."""
    try:
        return _fields(pid)
    except OSError:
        return []


def lives(pid: int, started: int) -> bool:
    """Whether the process lives that was started then, in clock ticks after boot; a zombie does not.

    Raises OSError if nobody can tell: there is no descriptor left, say.
    """
    fields = _known(pid)
    if not fields or int(fields[19]) != started:
        return False
    return fields[0] not in (b"Z", b"X") or int(fields[17]) > 1  # its main thread may have ended alone


def _known(pid: int) -> list[bytes]:
    """Return the fields; empty if the process is gone. Raises OSError if nobody can tell."""
    try:
        return _fields(pid)
    except (FileNotFoundError, ProcessLookupError):
        return []


def _fields(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        content = file.read(STAT_READ)
    # The name in brackets may hold anything, brackets and spaces too.
    fields = content.rpartition(b")")[2].split()
    # Of one that is just being let go, all but the rest is known: no threads, session -1, state R.
    return fields if len(fields) > 21 and fields[17] != b"0" else []


@functools.cache
def boot() -> str:
    """Return what tells this boot of the machine from every other one: random(4)."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def booted_utc() -> float:
    """Return when the machine was booted, in seconds since the epoch by its clock of now: proc_stat(5)."""
    with open("/proc/stat", encoding="ascii") as file:
        return next((float(line.split()[1]) for line in file if line.startswith("btime ")), 0.0)
