"""Holds as they are stored. What cannot be read may hold any site, so it holds all of them."""

import contextlib
import logging
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from linodmgr.birth import boot, booted_utc
from linodmgr.core.site import Site
from linodmgr.daemon.stored import store
from linodmgr.errors import LinodmgrError

log = logging.getLogger(__name__)

FILE_LIMIT = 4 * 1024 * 1024  # bytes of all holds
COMMAND_SHOWN = 40  # characters


class Hold(Struct, frozen=True, kw_only=True):
    """One hold; ``pid`` and ``started`` tell it from all others of this boot."""

    sites: dict[str, str]  # directories by name: an entry that gets another name is still meant
    places: dict[str, tuple[int, int]] = {}  # likewise st_dev and st_ino: and one with another path
    pid: int
    started: int  # clock ticks after boot
    boot: str
    command: str  # for people, one line

    def keeps(self, site: Site) -> bool:
        """Whether ``site`` is held by it."""
        if site.name in self.sites or site.directory in self.sites.values():
            return True
        return bool(self.places) and place_of(site) in self.places.values()

    def without(self, site: Site) -> "Hold":
        """Return what is left of it when ``site`` is released."""
        place = place_of(site)
        left = {
            name: path
            for name, path in self.sites.items()
            if name != site.name
            and path != site.directory
            and (place is None or self.places.get(name) != place)
        }
        if len(left) == len(self.sites):
            return self
        places = {name: place for name, place in self.places.items() if name in left}
        return msgspec.structs.replace(self, sites=left, places=places)

    def __str__(self) -> str:
        words = self.command
        if len(words) > COMMAND_SHOWN:
            words = f"{words[: COMMAND_SHOWN - 1]}…"
        return f"held for '{words}' (pid {self.pid})"


def place_of(site: Site) -> tuple[int, int] | None:
    """Return what tells the directory of a site from every other one; None if it is not there."""
    try:
        where = os.stat(site.directory)
    except OSError:
        return None
    return where.st_dev, where.st_ino


class Stored(Struct, frozen=True, omit_defaults=True):
    """The file. ``lost``: the boot in which an earlier one could not be read; all but ``freed`` are held."""

    holds: list[Hold] = []
    lost: str = ""
    freed: list[str] = []


class HoldFile:
    """holds.json in the state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "holds.json"
        self.boot = boot()
        self.content = self._read()

    def write(self, content: Stored) -> None:
        """Store ``content``. Raises OSError or LinodmgrError; then all is as before."""
        encoded = msgspec.json.encode(content) + b"\n"
        if len(encoded) > FILE_LIMIT:
            raise LinodmgrError("cannot hold more sites: there are too many holds")
        store(self._path, encoded)
        self.content = content

    def forget(self, content: Stored) -> None:
        """Go over to ``content``, which has less than before: holds that are over do no harm in the file."""
        try:
            self.write(content)
        except OSError as error:
            log.warning("cannot store in %s that holds are over: %s", self._path, error.strerror)
            self.content = content

    def _read(self) -> Stored:
        try:
            with open(self._path, "rb") as file:
                found = msgspec.json.decode(file.read(FILE_LIMIT + 1), type=Stored)
        except FileNotFoundError:
            return Stored()
        except (OSError, ValueError, RecursionError) as error:
            return self._lost(error)
        holds = [hold for hold in found.holds if hold.boot == self.boot]
        return Stored(holds, found.lost, found.freed) if found.lost == self.boot else Stored(holds)

    def _lost(self, error: Exception) -> Stored:
        """Set aside what cannot be read. If it is of this boot, a command that it names may still run."""
        aside = self._path.with_suffix(".damaged")
        content = Stored(lost=self.boot) if self._is_of_this_boot() else Stored()
        log.error("cannot read %s: %s; it is set aside as %s", self._path, error, aside)
        if content.lost:
            log.error("no site is started: a command that needs them stopped may run: see linodmgr release")
        with contextlib.suppress(OSError):
            os.replace(self._path, aside)
        with contextlib.suppress(OSError):  # what is lost is lost for this daemon at least
            self.write(content)
        return content

    def _is_of_this_boot(self) -> bool:
        try:
            return os.stat(self._path).st_mtime >= booted_utc()
        except OSError:
            return True
