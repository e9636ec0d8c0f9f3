"""``linodmgr demo``: three small sites and a daemon of their own, to look at and to play with."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from linodmgr.cli import demo_show, demo_sites
from linodmgr.errors import ConfigError, LinodmgrError
from linodmgr.places import SOCKET_PATH_LIMIT
from linodmgr.reading import refuse_unsafe, why

DIRECTORY = "linodmgr-demo"


class NotOurs(LinodmgrError):
    """A directory that we may not write, or that others may."""


@click.command("demo")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--lino", is_flag=True, help="Add a real Lino site; downloads some 80 packages from PyPI.")
@click.option("--no-stay", is_flag=True, help="End after the show instead of staying until Ctrl-C.")
def command(directory: Path | None, lino: bool, no_stay: bool) -> None:
    """Show how linodmgr works, with three small Django sites and a daemon of their own.

    Everything is written below DIRECTORY, by default linodmgr-demo; nothing else of this machine is
    touched, nothing goes on running afterwards.
    """
    with (
        alone(claim_default() if directory is None else claim(directory)) as place,
        runtime_of(place) as runtime,
        endable(),
    ):
        demo_show.say(f"Three small Django sites are written to {place} ...")
        venv = python_environment(place)
        sites = make_sites(place, venv)
        if lino:
            from linodmgr.cli import demo_lino

            demo_show.say("A real Lino site is made; this takes a minute or two:")
            sites.append(demo_lino.make(place))
        demo_show.show(write_config(place, runtime, sites), stay=not no_stay)
    demo_show.say(f"The demo is over, and nothing of it runs any more. Its files are in {place}")


def claim_default() -> Path:
    """Return the usual directory in the current one, else, if that is not ours, in our home."""
    try:
        return claim(Path(DIRECTORY))
    except NotOurs as error:
        place = claim(Path.home() / DIRECTORY)
        click.echo(str(error))
        return place


def claim(directory: Path) -> Path:
    """Return ``directory``, made if it is not there, and marked as the demo's.

    Raises LinodmgrError if it holds something else, NotOurs if others may write into it.
    """
    directory = Path(os.path.abspath(directory))
    there = next(path for path in (directory, *directory.parents) if path.exists())
    if os.geteuid() == 0:
        try:
            refuse_unsafe(there)
        except ConfigError as error:
            reason = str(error).partition(": ")[2]
            raise NotOurs(f"cannot use {directory}: {there} {reason}") from error
    marker = directory / demo_sites.MARKER
    try:
        if directory.exists() and is_open_to_others(directory):
            raise NotOurs(f"cannot use {directory}: others than we may write into it")
        if directory.exists() and not marker.is_file() and any(directory.iterdir()):
            raise LinodmgrError(
                f"cannot use {directory}: it is not empty and no demo has made it: name another directory"
            )
        demo_sites.write(marker, demo_sites.MARKER_TEXT)
    except OSError as error:
        raise NotOurs(f"cannot use {directory}: {why(error)}") from error
    return directory


def is_open_to_others(directory: Path) -> bool:
    """Whether somebody else may write into ``directory``: what is there will be run."""
    status = directory.stat()
    return status.st_uid != os.geteuid() or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


@contextmanager
def alone(directory: Path) -> Iterator[Path]:
    """Yield ``directory`` while no other demo runs in it. Raises LinodmgrError."""
    import fcntl

    with (directory / demo_sites.MARKER).open() as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LinodmgrError(f"cannot use {directory}: another demo runs in it") from error
        yield directory


@contextmanager
def runtime_of(directory: Path) -> Iterator[Path]:
    """Yield where the sockets are to lie: below ``directory`` unless that makes their paths too long."""
    runtime = directory / "run"
    if len(os.fsencode(runtime / "control")) <= SOCKET_PATH_LIMIT:
        yield runtime
        return
    with tempfile.TemporaryDirectory(prefix="linodmgr-demo-") as short:
        yield Path(short, "run")


@contextmanager
def endable() -> Iterator[None]:
    """Let a polite signal end the demo as Ctrl-C does: in order, and with nothing left running."""
    polite = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in polite}
    try:
        # click turns the one into the other for the commands that the demo runs.
        with suppress(KeyboardInterrupt, click.Abort):
            yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def python_environment(directory: Path) -> Path:
    """Return the virtualenv that linodmgr itself runs in, or what looks like one if it runs in none."""
    venv = Path(sys.prefix)
    if (venv / "bin" / "python").exists():
        return venv
    link = directory / "env" / "bin" / "python"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(sys.executable)
    return directory / "env"


def make_sites(directory: Path, venv: Path) -> list[tuple[Path, Path]]:
    """Return project directory and virtualenv of each site, written and with a database."""
    demo_sites.write_sites(directory)
    sites = [(directory / name, venv) for name in demo_sites.SITES]
    for project, _ in sites:
        done = subprocess.run(
            [venv / "bin" / "python", "manage.py", "migrate", "--run-syncdb", "--verbosity", "0"],
            cwd=project,
            env=demo_sites.clean_environment(),
            umask=0o022,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            last = next(reversed(done.stdout.strip().splitlines()), f"status {done.returncode}")
            raise LinodmgrError(f"cannot make the database of {project}: {last}")
    return sites


def write_config(directory: Path, runtime: Path, sites: list[tuple[Path, Path]]) -> Path:
    """Return the sites.toml of the demo, written."""
    import pwd

    user = pwd.getpwuid(os.geteuid()).pw_name
    parts = [demo_sites.site_toml(project, venv, user) for project, venv in sites]
    path = directory / "sites.toml"
    demo_sites.write(path, demo_sites.daemon_toml(directory, runtime) + "".join(parts))
    return path
