"""What is wrong on the disk: each site is looked at as its own user, the daemon's places as ourselves."""

import contextlib
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from linodmgr import launch
from linodmgr.core.site import Site
from linodmgr.directories import shut, unsafe
from linodmgr.places import Places

TIME_LIMIT = 10.0  # seconds for one site; its directory may be on a server that does not answer
KILLED_WITHIN = 1.0  # seconds; who waits for such a server may not even be killed

# Prints what is wrong as "KEY REASON", one line each. The paths are its arguments. A path that
# cannot be seen is either not there, or behind a directory that the user may not enter.
_LOOK = r"""
seen() {
    if [ -e "$2" ]; then return 0; fi
    if [ -L "$2" ]; then echo "$1 dangling"; return 1; fi
    parent=$2
    while [ ! -e "$parent" ] && [ -n "$parent" ]; do parent=${parent%/*}; done
    if [ -x "${parent:-/}" ] || [ ! -d "${parent:-/}" ]; then echo "$1 missing"; else echo "$1 hidden"; fi
    return 1
}
readable() {
    if seen "$1" "$2" && { [ ! -f "$2" ] || [ ! -r "$2" ]; }; then echo "$1 read"; fi
}
seen directory "$1" || exit 0
[ -d "$1" ] || { echo "directory directory"; exit 0; }
[ -x "$1" ] || { echo "directory enter"; exit 0; }
if seen venv "$2"; then
    if [ ! -f "$2" ] || [ ! -x "$2" ]; then
        echo "venv run"
    elif ! "$2" -c '' </dev/null >/dev/null 2>&1; then
        echo "venv fails"
    fi
fi
readable manage "$3"
if [ -n "$4" ]; then readable environment_file "$4"; fi
exit 0
"""

_WORDS = {
    "missing": "{path!r} does not exist",
    "hidden": "{path!r} is behind a directory that user {user!r} may not enter",
    "dangling": "{path!r} is a link to nothing, or to what user {user!r} may not see",
    "directory": "{path!r} is not a directory",
    "enter": "{path!r} may not be entered by user {user!r}",
    "run": "{path!r} is not a program that user {user!r} may run",
    "fails": "{path!r} cannot be run",
    "read": "{path!r} is not a file that user {user!r} may read",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something on the disk that a site needs and cannot have: the key to blame, and words."""

    key: str
    text: str


def look(site: Site, time_limit: float = TIME_LIMIT) -> list[Fault]:
    """Return what is wrong with the files of ``site``, as seen by its user; root opens nothing there."""
    assert site.identity is not None, "a site without an identity has a problem and is not looked at"
    venv = launch.venv_of(site)
    paths = {
        "directory": site.directory,
        "venv": os.path.join(venv, "bin", "python"),
        "manage": os.path.join(site.directory, site.manage),
        "environment_file": site.environment_file and os.path.join(site.directory, site.environment_file),
    }
    command = launch.Launch(
        ("/bin/sh", "-c", _LOOK, "sh", *paths.values()),
        launch.environment(site, venv),  # what the Python may need to run
        launch.identity(site),
    )
    shell = subprocess.Popen(
        **command.keywords(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert shell.stdout is not None
    try:
        output, _ = shell.communicate(timeout=time_limit)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)  # and the Python that it may wait for
        shell.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            shell.wait(KILLED_WITHIN)
        return [Fault("directory", f"{site.directory!r} could not be looked at within {time_limit:g} s")]
    if shell.returncode != 0:
        return [
            Fault("directory", f"{site.directory!r} could not be looked at as user {site.identity.user!r}")
        ]
    faults = []
    for line in output.decode().splitlines():
        key, reason = line.split()
        faults.append(Fault(key, _WORDS[reason].format(path=paths[key], user=site.identity.user)))
    return faults


def places(where: Places, *, for_others: bool) -> Iterator[Fault]:
    """Yield what keeps the daemon from using its directories; those that are missing are made by it.

    ``for_others``: some worker runs as another user, who has to get at the runner.
    """
    for key in ("runtime_dir", "state_dir", "log_dir"):
        path = str(getattr(where, key))
        there = path
        while not os.path.lexists(there):
            there = os.path.dirname(there)
        try:
            status = os.stat(there)
        except OSError:
            yield Fault(key, f"{there!r} is a link to nowhere")
            continue
        if not stat.S_ISDIR(status.st_mode):
            yield Fault(key, f"{there!r} is not a directory")
        elif not os.access(there, os.W_OK | os.X_OK):
            yield Fault(key, f"{there!r} may not be written by us")
        elif there == path and status.st_uid != os.geteuid():
            yield Fault(key, f"{path!r} belongs to uid {status.st_uid}: it must be our own")
        elif there == path and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield Fault(key, f"{path!r} may be written by others: chmod go-w")
        elif fault := unsafe(Path(path)):
            yield Fault(key, f"{path!r} {fault}")
        elif key == "runtime_dir" and for_others and (place := shut(Path(path))):
            yield Fault(key, f"{place!r} may not be entered by the sites' users: chmod a+x")
