"""Linods that linodmgr did not start (Supervisor, a terminal), and who holds a lock: read from /proc."""

import os
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from linodmgr.birth import born, stat

COMMANDS = (b"linod", b"runworker")
LISTING = (b"--list", b"-l", b"--mode=list", b"--help", b"-h")
OUR_OWN = (b"/linodmgr", b"/cli/waiting.py")  # command lines that may name anything
COMMAND_SHOWN = 100  # characters
_SHELLS = (b"sh", b"bash", b"dash", b"ash", b"ksh", b"zsh")
_PYTHONS = (b"python", b"pypy")


@dataclass(frozen=True, slots=True)
class Stranger:
    """A process that runs the jobs of a project directory, and is none of ours."""

    pid: int
    command: str  # as a person would have typed it, shortened
    started_by: str  # supervisord (pid 12)
    uid: int
    since: str  # local date and time

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command}), since {self.since}, started by {self.started_by}"


def find(directories: Mapping[tuple[int, int], str], ours: Collection[int]) -> dict[str, list[Stranger]]:
    """Return the strangers by what ``directories`` calls the st_dev and st_ino of their directory.

    That is their current one, or the one of the manage.py that they run.

    ``ours``: processes that do not count, nor do their descendants. One pass over /proc; a
    process whose arguments do not look like a linod costs one read.
    """
    matches: dict[int, tuple[int, int]] = {}
    own = frozenset(ours)
    for pid in _pids():
        if pid not in own and is_linod(arguments := _arguments(pid)):
            for key in _directories(pid, arguments):
                if key in directories:
                    matches[pid] = key
    found: dict[str, list[Stranger]] = {}
    for pid, key in matches.items():
        ancestors = list(_ancestors(pid))
        if own.isdisjoint(ancestors) and not any(matches.get(ancestor) == key for ancestor in ancestors):
            stranger = describe(pid)
            if stranger is not None:
                found.setdefault(directories[key], []).append(stranger)
    return found


def concerns(stranger: Stranger, uid: int, gid: int, directory: str) -> bool:
    """Whether a stranger may run the jobs of a site with this user, group and project directory.

    Root may, the site's user, the owner of the directory, and whoever is in the group of one of them. Others
    have no business there: a process that only looks like a linod must not keep the site from running.
    """
    try:
        place = os.stat(directory)
    except OSError:
        return True
    if stranger.uid in (0, uid, place.st_uid):
        return True
    lines = _read(stranger.pid, "status").splitlines()
    groups = {
        int(word) for line in lines if line.startswith((b"Gid:", b"Groups:")) for word in line.split()[1:]
    }
    return not groups.isdisjoint((gid, place.st_gid))


def is_linod(arguments: list[bytes]) -> bool:
    """Tell whether this command line runs the jobs of a site, rather than lists them or edits a file.

    >>> is_linod([b"/srv/noi/env/bin/python", b"manage.py", b"linod"])
    True
    >>> is_linod([b"python", b"manage.py", b"linod", b"--list"])
    False
    >>> is_linod([b"vim", b"linod"])
    False
    >>> is_linod([b"python", b"/usr/bin/linodmgr", b"hold", b"noi", b"supervisorctl", b"stop", b"linod"])
    False
    """
    if not any(command in arguments[1:] for command in COMMANDS) and not _is_runner(arguments):
        return False
    if any(argument in LISTING for argument in arguments[1:]):
        return False
    if any(argument.endswith(OUR_OWN) for argument in arguments[1:3]):
        return False
    programs = [os.path.basename(argument).lstrip(b"-") for argument in arguments[:2]]
    return programs[0].startswith(_PYTHONS) or (programs[0] in _SHELLS and programs[1].startswith(_PYTHONS))


def _is_runner(arguments: list[bytes]) -> bool:
    """Tell whether this is a runner of linodmgr, whatever command the site's ``arguments`` name."""
    runs = any(argument.endswith(b"/runner.py") for argument in arguments[1:3])  # the Python may be a script
    return runs and b"--mode=run" in arguments


def is_worker(pid: int, report: str) -> bool:
    """Tell whether this is a worker of the daemon that has the report socket ``report``.

    Or had it: the next one takes over what an earlier one has left.
    """
    arguments = _arguments(pid)
    return _is_runner(arguments) and os.fsencode(f"--report={report}") in arguments


def describe(pid: int) -> Stranger | None:
    """Return who the process ``pid`` is and who started it, None if it has ended."""
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    command = b" ".join(_arguments(pid)).decode(errors="replace")
    if not command:  # it is being executed, or hides what it was told to run: named as ps(1) does
        if _is_dead(pid):
            return None
        command = f"[{_name(pid)}]"
    command = "".join(letter if letter.isprintable() else "?" for letter in command)
    if len(command) > COMMAND_SHOWN:
        command = command[: COMMAND_SHOWN - 4] + " ..."
    return Stranger(pid, command, _started_by(pid), uid, _since(pid))


def holders(path: str, known: Collection[int] = ()) -> list[int]:
    """Return the processes that have the lock file ``path`` open; those of other users only as root.

    ``known``: whom to ask first; only if none of them has it, the whole host is searched.
    """
    return holders_of([path], known).get(path) or holders_of([path]).get(path, [])


def holders_of(paths: Collection[str], among: Collection[int] | None = None) -> dict[str, list[int]]:
    """Return the processes that have each of ``paths`` open, in one pass over /proc or ``among`` some.

    Who took a lock may be dead (/proc/locks), who has the descriptor holds it. Only
    descriptors that bear the name of one of the files are looked at closely.
    """
    files: dict[tuple[int, int], str] = {}
    for path in paths:
        key = _key(path)
        if key is not None:
            files[key] = path
    names = {os.path.basename(path) for path in files.values()}
    found: dict[str, list[int]] = {}
    pids = _pids() if among is None else among
    for pid in pids if files else ():
        for descriptor in _descriptors(pid, names):
            key = _key(descriptor)
            if key is not None and key in files and pid not in found.get(files[key], ()):
                found.setdefault(files[key], []).append(pid)
    return found


def _descriptors(pid: int, names: Collection[str]) -> Iterator[str]:
    """Yield the entries of /proc/PID/fd that are links to a file with one of ``names``."""
    try:
        entries = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for entry in entries:
        descriptor = f"/proc/{pid}/fd/{entry}"
        try:
            if os.path.basename(os.readlink(descriptor)) in names:
                yield descriptor
        except OSError:
            continue


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _arguments(pid: int) -> list[bytes]:
    """Return the command line, empty for a zombie, a thread of the kernel, or nobody."""
    content = _read(pid, "cmdline")
    return content.rstrip(b"\0").split(b"\0") if content else []


def _directories(pid: int, arguments: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield st_dev and st_ino of where a process is, and of where the scripts are that it was told to run.

    Supervisor, cron and systemd may start ``/srv/noi/manage.py`` from anywhere.
    """
    current = f"/proc/{pid}/cwd"
    scripts = (os.fsdecode(argument) for argument in arguments[1:] if argument.endswith(b".py"))
    for place in (current, *(os.path.dirname(os.path.join(current, script)) for script in scripts)):
        key = _key(place)
        if key is not None:
            yield key


def _key(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _ancestors(pid: int) -> Iterator[int]:
    while (pid := _parent(pid)) > 1:
        yield pid


def _parent(pid: int) -> int:
    fields = stat(pid)
    return int(fields[1]) if fields else 0


def _is_dead(pid: int) -> bool:
    """Whether a process is a zombie, or gone."""
    fields = stat(pid)
    return not fields or fields[0] in (b"Z", b"X")


def _started_by(pid: int) -> str:
    parent = _parent(pid)
    if parent <= 1:
        unit = _read(pid, "cgroup").decode(errors="replace").strip().rpartition("/")[2]
        return f"systemd ({unit})" if unit.endswith(".service") and unit.isprintable() else "init (pid 1)"
    return f"{_name(parent) or 'a process'} (pid {parent})"


def _name(pid: int) -> str:
    """Return the short name of a process, empty if it has none that can be printed."""
    name = _read(pid, "comm").decode(errors="replace").strip()
    return name if name.isprintable() else ""


def _since(pid: int) -> str:
    """Return when a process was started, as people here say it."""
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - born(pid) / os.sysconf("SC_CLK_TCK")
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - age))


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""
