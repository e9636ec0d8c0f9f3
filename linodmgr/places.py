"""Where linodmgr's files are. Imports nothing heavy: every command of a person needs it."""

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linodmgr.errors import ConfigError, LinodmgrError
from linodmgr.reading import parse, read, show

CONFIG_VARIABLE = "LINODMGR_CONFIG"
SYSTEM_CONFIG = Path("/etc/linodmgr/sites.toml")
MOVABLE = ("runtime_dir", "state_dir", "log_dir")  # by [daemon]
SOCKET_PATH_LIMIT = 107  # bytes, unix(7)


@dataclass(frozen=True, slots=True)
class Places:
    """The directories of one daemon."""

    runtime_dir: Path
    state_dir: Path
    log_dir: Path
    lock_dir: Path  # one fixed place per host and user, whatever the configuration says

    @property
    def control(self) -> Path:
        """The socket that people talk to."""
        return self.runtime_dir / "control"

    @property
    def report(self) -> Path:
        """The socket that runners talk to."""
        return self.runtime_dir / "report"


def config_path(option: str | None) -> Path:
    """Return the absolute path of the configuration to use: ``--config``, $LINODMGR_CONFIG, or the usual one.

    Who is not root and has none of their own means the system's, if there is one. Raises ConfigError.
    """
    chosen = option or os.environ.get(CONFIG_VARIABLE)
    if chosen:
        try:
            return Path(os.path.abspath(chosen))
        except FileNotFoundError as error:
            raise ConfigError([f"{chosen}: cannot be found: the current directory does not exist"]) from error
    if os.geteuid() == 0:
        return SYSTEM_CONFIG
    own = _home("XDG_CONFIG_HOME", ".config") / "sites.toml"
    return SYSTEM_CONFIG if not own.exists() and SYSTEM_CONFIG.exists() else own


def is_above_us(config: Path) -> bool:
    """Tell whether ``config`` is root's and we are not root: its sites are those of root's daemon."""
    if os.geteuid() == 0:
        return False
    try:
        return config.stat().st_uid == 0
    except OSError:
        return config == SYSTEM_CONFIG


def default_places(config: Path | None = None) -> Places:
    """Return the places of a daemon whose configuration ``config`` moves nothing.

    Raises LinodmgrError if there is no runtime directory that is ours alone.
    """
    return placed(config, {})


def locate(config: Path) -> Places:
    """Return the places of the daemon that uses ``config``, looking at nothing but its three directories.

    People can talk to a running daemon while the file is being edited: of a text that
    is not TOML the lines count that can be understood. A text that does not mention the
    directories is not parsed, and a file that cannot be read moves nothing.
    Raises ConfigError.
    """
    try:
        text = read(config, trusted=False)
    except ConfigError:
        return default_places(config)
    if "\\" not in text and not any(key in text for key in MOVABLE):
        return default_places(config)
    try:
        table = _daemon_table(text, config)
    except ConfigError:
        return placed(config, _understood(text, config))
    problems = [f"{show(config)}: daemon.{key}: {text}" for key, text in misplaced(config, table).items()]
    if problems:
        raise ConfigError(problems)
    return placed(config, table)


def misplaced(config: Path, daemon: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the directories in the table ``daemon``, in words by key."""
    problems = {}
    for key in MOVABLE:
        value = daemon.get(key, "default")
        if not isinstance(value, str) or not value or not value.isprintable():
            problems[key] = f"must be a directory, got {value!r}"
        elif key == "runtime_dir" and len(os.fsencode(config.parent / value / "control")) > SOCKET_PATH_LIMIT:
            problems[key] = f"must be shorter, because sockets lie in it, got {value!r}"
    return problems


def placed(config: Path | None, daemon: Mapping[str, Any]) -> Places:
    """Return the places when the table ``daemon`` of ``config`` moves some; relative ones start at the file.

    Raises LinodmgrError if there is no runtime directory that is ours alone.
    """
    start = config.parent if config else Path()
    moved = {key: Path(os.path.abspath(start / daemon[key])) for key in MOVABLE if key in daemon}
    if os.geteuid() == 0 or config == SYSTEM_CONFIG:
        state, log = Path("/var/lib/linodmgr"), Path("/var/log/linodmgr")
        runtime = moved.get("runtime_dir") or Path("/run/linodmgr")
    else:
        state = _home("XDG_STATE_HOME", ".local/state")
        log = state / "log"
        runtime = moved.get("runtime_dir") or _own_runtime_dir()
    return Places(runtime, moved.get("state_dir", state), moved.get("log_dir", log), lock_dir=state / "locks")


def _daemon_table(text: str, config: Path) -> dict[str, Any]:
    """Return the table [daemon] in ``text``, empty if there is none. Raises ConfigError."""
    daemon = parse(text, config).get("daemon")
    return daemon if isinstance(daemon, dict) else {}


def _understood(text: str, config: Path) -> dict[str, Any]:
    """Return the directories that lines of the table [daemon] move; what stands first counts."""
    found: dict[str, Any] = {}
    header = ""
    for line in map(str.strip, text.split("\n")):
        if line.startswith("["):
            header = line
        elif "\\" in line or any(key in line for key in MOVABLE):
            with contextlib.suppress(ConfigError):
                found = _daemon_table(f"{header}\n{line}", config) | found
    wrong = misplaced(config, found)
    return {key: found[key] for key in MOVABLE if key in found and key not in wrong}


def _home(variable: str, usual: str) -> Path:
    """Return our directory under the one that ``variable`` names; a relative one does not count (XDG)."""
    written = os.environ.get(variable, "")
    place = written if os.path.isabs(written) else os.path.join(os.path.expanduser("~"), usual)
    return Path(place, "linodmgr")


def _own_runtime_dir() -> Path:
    written = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(written) and _is_ours(written, closed=0o022):
        return Path(written, "linodmgr")
    import tempfile

    place = os.path.join(tempfile.gettempdir(), f"linodmgr-{os.geteuid()}")
    try:
        os.mkdir(place, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise LinodmgrError(f"cannot create {place}: {(error.strerror or '').lower()}") from error
    if not _is_ours(place, closed=0o077):
        raise LinodmgrError(
            f"cannot use {place}: it must be a directory of our own with mode 0700: "
            "remove it or set XDG_RUNTIME_DIR"
        )
    return Path(place)


def _is_ours(path: str, closed: int) -> bool:
    """Tell whether ``path`` is a directory, no link, that belongs to us without the bits ``closed``."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & closed
