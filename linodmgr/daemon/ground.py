"""The ground the daemon stands on: its directories, and its own log."""

import logging
import os
import signal
import stat
import sys
from pathlib import Path

from linodmgr.errors import LinodmgrError
from linodmgr.places import Places

WANTED_IGNORED = {signal.SIGPIPE, signal.SIGXFSZ}  # by Python itself, which gives its children the usual


def undo_surroundings() -> None:
    """Undo what we inherit from whoever started us: signals ignored or blocked, standard streams closed.

    Workers inherit the first two, and without the third our locks and sockets would get the
    numbers that every child takes for its standard streams.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - WANTED_IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def prepare(places: Places) -> None:
    """Make the daemon's directories, or check that nobody else can write into them.

    Raises LinodmgrError. Root's are readable by all, because runners of all users come here;
    the locks are not.
    """
    mode = 0o755 if os.geteuid() == 0 else 0o700
    for directory in (places.runtime_dir, places.state_dir, places.log_dir):
        _own_directory(directory, mode)
    _own_directory(places.lock_dir, 0o700)


def _own_directory(path: Path, mode: int) -> None:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.mkdir(mode=mode, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise LinodmgrError(f"cannot make directory {str(path)!r}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise LinodmgrError(f"cannot use {str(path)!r}: it is not a directory")
    if found.st_uid != os.geteuid():
        raise LinodmgrError(
            f"cannot use directory {str(path)!r}: it belongs to uid {found.st_uid}, not to us"
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise LinodmgrError(
            f"cannot use directory {str(path)!r}: others may write into it: chmod go-w {path}"
        )


def log_to(path: Path | None) -> None:
    """Send our own log to the file ``path``, or to standard error if there is none.

    The journal of systemd has instants of its own.
    """
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = logging.FileHandler(path, encoding="utf-8", errors="replace")
    journal = path is None and "JOURNAL_STREAM" in os.environ
    form = "%(levelname)s %(message)s" if journal else "%(asctime)s %(levelname)s %(message)s"
    handler.setFormatter(logging.Formatter(form))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
