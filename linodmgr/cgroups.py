"""Where this host lets us make control groups of version 2, see cgroups(7). Changes nothing."""

import contextlib
import functools
import os
import zlib
from pathlib import Path

SWITCH = "LINODMGR_CGROUP"  # in the daemon's environment; "off": do without, as where there are none
LEAF = "linodmgr-daemon"  # where the daemon itself moves to if it has to
WORKER = "w-"  # how the name of a worker's group begins
DELEGATED = ("user.delegate", "trusted.delegate")  # what systemd sets for Delegate=yes


def find(runtime_dir: Path) -> str:
    """Return the directory to make groups in, which need not be there yet; empty: nowhere.

    Below our own group if systemd has handed it over to us or we may write there, else, as
    root, below the mount point, where each runtime directory has a place of its own.
    """
    if os.environ.get(SWITCH) == "off":
        return ""
    mount, root = _mounted()
    if not mount:
        return ""
    if own := own_group(mount, root):
        is_delegated = any(_attribute(own, name) == b"1" for name in DELEGATED)
        if is_delegated or (os.geteuid() != 0 and _is_writable(own)):
            return own
    if os.geteuid() != 0 or not _is_writable(mount):
        return ""
    return os.path.join(mount, "linodmgr", f"{zlib.crc32(os.fsencode(runtime_dir)):08x}")


def own_group(mount: str, root: str) -> str:
    """Return the directory of our own group, its parent if we are in its LEAF; empty if we cannot see it."""
    inside = group_of(os.getpid())
    if not inside or os.path.commonpath([inside, root]) != root:
        return ""
    place = os.path.normpath(os.path.join(mount, os.path.relpath(inside, root)))
    return os.path.dirname(place) if os.path.basename(place) == LEAF else place


def group_of(pid: int) -> str:
    """Return the group of a process as /proc names it; empty if it has ended or there are none."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup", "rb") as file:
        for line in file:
            if line.startswith(b"0::/"):
                return os.fsdecode(line[3:].rstrip(b"\n").removesuffix(b" (deleted)"))
    return ""


def may_be_workers(path: str) -> bool:
    """Whether ``path``, which a site's user may have written, is what a worker's group could be called.

    Anything else may be a pipe that nobody opens, or a file without an end.
    """
    mount, _ = _mounted()
    is_inside = bool(mount) and path.startswith(f"{mount.rstrip('/')}/") and os.path.normpath(path) == path
    return is_inside and os.path.basename(path).startswith(WORKER)


@functools.cache
def _mounted() -> tuple[str, str]:
    """Return where the hierarchy is mounted, and which group of it is there: proc_pid_mountinfo(5)."""
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if fields[fields.index("-") + 1] == "cgroup2":
                return fields[4], fields[3]
    return "", "/"


def _is_writable(group: str) -> bool:
    return os.access(group, os.W_OK) and os.access(os.path.join(group, "cgroup.procs"), os.W_OK)


def _attribute(path: str, name: str) -> bytes:
    try:
        return os.getxattr(path, name)
    except OSError:
        return b""
