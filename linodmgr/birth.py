"""What tells a process from a later one with the same pid: when it was born, and under which boot."""

import functools


def born(pid: int) -> int:
    """Return when a process was started, in clock ticks after boot; 0 if there is none.

    Field 22 of proc_pid_stat(5). A zombie still counts.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return 0
    # The name in brackets may hold anything, brackets and spaces too.
    fields = stat.rpartition(b")")[2].split()
    return int(fields[19]) if len(fields) > 19 else 0


@functools.cache
def boot() -> str:
    """Return what tells this boot of the machine from every other one: random(4)."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def booted_utc() -> float:
    """Return when the machine was booted, in seconds since the epoch by its clock of now: proc_stat(5)."""
    with open("/proc/stat", encoding="ascii") as file:
        return next((float(line.split()[1]) for line in file if line.startswith("btime ")), 0.0)
