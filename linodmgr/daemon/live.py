"""What is recorded of each live worker, so that the next daemon can take it over."""

import contextlib
import errno
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import astuple, replace

from linodmgr.core.site import Site
from linodmgr.directories import own
from linodmgr.errors import LinodmgrError

LIMIT = 1024 * 1024  # bytes of a record that is believed; the environment of a site may be long
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # nothing is wrong with what could not be read then
LARGEST = 1 << 53  # of the numbers in a record, bytes or seconds
DAMAGED = "damaged"  # the directory for what is set aside

Pid = Annotated[int, Meta(gt=0, lt=1 << 31)]
Count = Annotated[int, Meta(ge=0, lt=1 << 31)]
Number = Annotated[int, Meta(ge=0)]
Instant = Annotated[float, Meta(ge=0, le=1e10)]


class LiveWorker(Struct, frozen=True, kw_only=True):
    """One live worker; instants are monotonic seconds, which one boot shares."""

    site: Site  # as it was spawned
    pid: Pid
    started: Annotated[int, Meta(gt=0)]  # clock ticks after boot, field 22 of proc_pid_stat(5)
    boot: str  # /proc/sys/kernel/random/boot_id
    place: tuple[Number, Number]  # st_dev and st_ino of the project directory
    digest: str  # of all that was spawned: arguments, environment, identity
    cgroup: str  # the directory of its own cgroup; empty: it has none
    mark: str  # LINODMGR_START in its environment: unique for this start
    runner: str  # the directory of its runner
    since: Instant  # when it was spawned
    running: Instant | None = None  # since when it is RUNNING; None: it is not yet
    ready: bool = False  # its runner said so
    restarts: Count = 0
    early_deaths: Count = 0

    @property
    def uid(self) -> int:
        """Whose worker it is; -1: nobody knows."""
        return self.site.identity.uid if self.site.identity else -1


_DECODER: msgspec.json.Decoder[LiveWorker] = msgspec.json.Decoder(LiveWorker)


class LiveRecords:
    """One file per live worker, which nobody but us may write.

    Nothing is synchronized with the disk: after a crash of the machine no worker lives.
    """

    def __init__(self, runtime_dir: Path) -> None:
        self._directory = runtime_dir / "workers"

    def write(self, live: LiveWorker) -> None:
        """Record a live worker, in place of what was recorded for its site. Raises OSError."""
        path = self._path(live.site.name)
        temporary = path.with_suffix(".new")
        text = msgspec.json.encode(live)
        try:
            file = _create(temporary)
        except FileNotFoundError:
            self._make_directory()
            file = _create(temporary)
        try:
            with open(file, "wb", buffering=0) as stream:
                if stream.write(text) != len(text):
                    raise OSError(f"{temporary} took a part only")
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def note(
        self, name: str, pid: int, running: float | None, ready: bool, restarts: int, early_deaths: int
    ) -> None:
        """Record what has become of the worker ``pid`` of a site since it was spawned. Raises OSError."""
        # Who has none, or a damaged one, gets none.
        with contextlib.suppress(FileNotFoundError, ValueError, RecursionError):
            old = self._read(name)
            new = replace(old, running=running, ready=ready, restarts=restarts, early_deaths=early_deaths)
            if old.pid == pid and new != old:
                self.write(new)

    def forget(self, name: str) -> None:
        """Know that the site has no worker any more."""
        with contextlib.suppress(OSError):  # a record of somebody who has ended does no harm
            self._path(name).unlink(missing_ok=True)

    def knows(self, live: LiveWorker) -> bool:
        """Whether there is a record of this very worker."""
        try:
            found = self._read(live.site.name)
        except (OSError, ValueError, RecursionError):
            return False
        return (found.pid, found.started) == (live.pid, live.started)

    def read(self) -> tuple[list[LiveWorker], list[str]]:
        """Return what is recorded, and lines about what cannot be used, which is set aside.

        Raises OSError if there was nothing to read it with.
        """
        found: list[LiveWorker] = []
        problems: list[str] = []
        try:
            names = list(self._entries())
        except FileNotFoundError:
            return [], []
        except OSError as error:
            if error.errno in SCARCE:
                raise
            return [], [f"cannot read the records of live workers in {self._directory}: {error.strerror}"]
        for name in names:
            try:
                found.append(self._read(name))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, RecursionError) as error:
                if isinstance(error, OSError) and error.errno in SCARCE:
                    raise
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                problems.append(
                    f"cannot use the record {self._path(name)}: {reason}; {self._set_aside(name)}"
                )
        return found, problems

    def _read(self, name: str) -> LiveWorker:
        """Return one record. Raises OSError, or ValueError if it is not to be trusted."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(self._path(name), flags), "rb", buffering=0) as stream:
            about = os.fstat(stream.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise ValueError("it is not a regular file")
            if about.st_uid != os.geteuid():
                raise ValueError(f"it belongs to uid {about.st_uid}, not to us")
            if about.st_mode & 0o022:
                raise ValueError("others may write it")
            if about.st_size > LIMIT:
                raise ValueError(f"it is longer than {LIMIT} bytes")
            live = _DECODER.decode(stream.read(LIMIT))
        if live.site.name != name:
            raise ValueError(f"it is about site {live.site.name!r}")
        if not live.site.directory.startswith("/"):
            raise ValueError(f"directory {live.site.directory!r} is not absolute")
        if live.site.stop_signal not in signal.valid_signals():
            raise ValueError(f"there is no signal {live.site.stop_signal}")
        if any(isinstance(one, int | float) and abs(one) > LARGEST for one in astuple(live.site)):
            raise ValueError("a number is too large")
        return live

    def _entries(self) -> Iterator[str]:
        """Yield the sites of which there is a record, in order; half written ones are removed.

        Raises OSError.
        """
        for entry in sorted(os.listdir(self._directory)):
            path = self._directory / entry
            if path.suffix == ".json":
                yield path.stem
            elif path.suffix == ".new":
                with contextlib.suppress(OSError):
                    path.unlink()

    def _set_aside(self, name: str) -> str:
        """Put away a record that cannot be used; return what became of it."""
        path = self._path(name)
        aside = self._directory / DAMAGED
        try:
            self._make_directory()
            own(aside, 0o700)
            os.replace(path, aside / path.name)
        except OSError as error:
            return f"it cannot be set aside: {error.strerror}"
        except LinodmgrError as error:
            return f"it cannot be set aside: {error}"
        return f"it is set aside in {aside}"

    def _make_directory(self) -> None:
        """Make our directory. Raises OSError if it cannot be ours alone."""
        try:
            own(self._directory, 0o700)
        except LinodmgrError as error:
            raise OSError(str(error)) from error

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


def _create(path: Path) -> int:
    """Return a new file that is open for writing, whatever was there. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileExistsError:
        path.unlink()
        return os.open(path, flags, 0o600)
