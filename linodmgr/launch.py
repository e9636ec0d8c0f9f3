"""How a site's process is started: identity, environment, runner, list mode. For daemon and CLI."""

import contextlib
import os
import re
import signal
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linodmgr.core.site import Identity, Site
from linodmgr.directories import own

SITE_FILES = Path(__file__).with_name("site")
SPARE = Path(__file__).parent / "daemon" / "spare_process.py"
_RUNNER = re.compile(r"runner-[0-9a-f]{8}")
VENVS = ("env", ".venv", "venv")
LIST_OUTPUT_LIMIT = 8 * 1024 * 1024  # bytes that a list mode may print


@dataclass(frozen=True, slots=True)
class Launch:
    """Arguments for ``subprocess.Popen``, apart from its standard streams."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    identity: Mapping[str, Any]  # user=, group=, extra_groups= where they differ from ours, and umask=

    def keywords(self) -> dict[str, Any]:
        """Return what both modes give to Popen; the rest is the caller's business."""
        return {
            "args": self.arguments,
            "env": dict(self.environment),
            "cwd": "/",
            "start_new_session": True,
            "close_fds": True,
            **self.identity,
        }


def lay_out(runtime_dir: Path) -> Path:
    """Return a directory under ``runtime_dir`` that holds the runner, readable by every site's user.

    So does it hold what else the daemon executes: its own files may be replaced while it runs.

    It is named after the files' contents, so that a live worker's runner is never changed. A
    checksum is enough, they are our own; hashlib would bring OpenSSL into the daemon, 4 MB.
    Raises LinodmgrError if it is not ours alone.
    """
    files = [SPARE, *sorted(SITE_FILES.glob("*.py"))]
    texts = {path.name: path.read_bytes() for path in files if path.name != "__init__.py"}
    checksum = zlib.crc32(b"\0".join(name.encode() + b"\0" + text for name, text in texts.items()))
    place = runtime_dir / f"runner-{checksum:08x}"
    own(place, 0o755)
    for name, text in texts.items():
        _write(place / name, text)
    return place


def tidy(runtime_dir: Path, used: Collection[str]) -> None:
    """Remove the runners of earlier versions that no worker uses any more."""
    for place in runtime_dir.glob("runner-*"):
        if str(place) in used or not _RUNNER.fullmatch(place.name):
            continue
        with contextlib.suppress(OSError):
            for file in list(place.iterdir()):
                file.unlink()
            place.rmdir()


def _write(path: Path, text: bytes) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    temporary.replace(path)


def venv_of(site: Site) -> str:
    """Return the path of the site's virtualenv: as configured, else the first that exists.

    Only lstat is used: a missing one is found by the spawn, as the site's user.
    """
    if site.venv:
        return os.path.join(site.directory, site.venv)
    for name in VENVS:
        path = os.path.join(site.directory, name)
        if os.path.lexists(path):
            return path
    return os.path.join(site.directory, VENVS[0])


def worker(
    site: Site,
    runner_dir: Path,
    report: Path,
    lock: int,
    open_files: tuple[int, int],
    marks: Mapping[str, str],
) -> Launch:
    """Return how to start the worker of ``site``.

    ``lock`` is the descriptor of the site's lock, to be passed on; ``report`` the daemon's report
    socket; ``open_files`` the soft and the hard limit for a site that sets none; ``marks`` what its
    environment has beside the rest, by which its processes are recognized.
    """
    soft, hard = (site.open_files, site.open_files) if site.open_files else open_files
    settings = {
        "open-files": f"{soft}:{hard}",
        "mode": "run",
        "report": str(report),
        "lock": str(lock),
        "timeout": f"{site.policy.start_timeout:g}",
    }
    return _launch(site, runner_dir, settings, marks)


def digest(site: Site) -> str:
    """Return a checksum of all that the worker of ``site`` is started with, but what is ours in it.

    A worker with another one is not what the configuration wants by now.
    """
    start = _launch(site, Path(), {"open-files": str(site.open_files)})
    told = (start.arguments, sorted(start.environment.items()), sorted(start.identity.items()), site.nice)
    return f"{zlib.crc32(repr(told).encode(errors='surrogateescape')):08x}"


def listing(site: Site, runner_dir: Path) -> Launch:
    """Return how to start the list mode of ``site``: it prints one JSON object and ends with 0."""
    return _launch(site, runner_dir, {"mode": "list"})


def _launch(
    site: Site, runner_dir: Path, settings: Mapping[str, str], marks: Mapping[str, str] | None = None
) -> Launch:
    venv = venv_of(site)
    options = {
        "directory": site.directory,
        "manage": site.manage,
        "environment-file": site.environment_file,
        "stop-signal": str(signal.Signals(site.stop_signal).value),
        **settings,
    }
    arguments = (
        os.path.join(venv, "bin", "python"),
        str(runner_dir / "runner.py"),
        *(f"--{key}={value}" for key, value in options.items() if value),
        "--",
        *site.arguments,
    )
    # The marks are at the beginning, where they are soon found, and hold whatever the site sets.
    marks = marks or {}
    return Launch(arguments, {**marks, **environment(site, venv), **marks}, identity(site))


def environment(site: Site, venv: str) -> dict[str, str]:
    """Return the environment of the site's processes, from scratch: nothing of ours gets in."""
    who = site.identity
    assert who is not None, "a site without an identity has a problem and is not started"
    return {
        "HOME": who.home,
        "USER": who.user,
        "LOGNAME": who.user,
        "SHELL": who.shell,
        "PATH": f"{venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "VIRTUAL_ENV": venv,
        "LANG": "C.UTF-8",
        **site.environment,
    }


def changes_user(site: Site) -> bool:
    """Whether the site's processes run as another user than we do."""
    return "user" in identity(site)


def identity(site: Site) -> dict[str, Any]:
    """Return what Popen takes to run something as the site's user, with the site's umask."""
    who = site.identity
    assert who is not None
    if os.geteuid() != 0 or _is_us(who):
        return {"umask": site.umask}  # without a change of user, Popen takes the much faster vfork
    return {"umask": site.umask, "user": who.uid, "group": who.gid, "extra_groups": list(who.groups)}


def _is_us(who: Identity) -> bool:
    """Whether this process has exactly that identity: user, group and supplementary groups."""
    same_ids = set(os.getresuid()) == {who.uid} and set(os.getresgid()) == {who.gid}
    return same_ids and {who.gid, *os.getgroups()} == {who.gid, *who.groups}
