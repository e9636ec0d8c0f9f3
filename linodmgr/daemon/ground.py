"""The ground the daemon stands on: its directories, and its own log."""

import logging
import os
import resource
import signal
import sys
from pathlib import Path

from linodmgr.directories import own
from linodmgr.places import Places

WANTED_IGNORED = {signal.SIGPIPE, signal.SIGXFSZ}  # by Python itself, which gives its children the usual

OWN_LOG_BYTES = 10_000_000  # of a daemon in the background; systemd keeps its own journal short
OWN_LOGS_KEPT = 5


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


def raise_open_files() -> tuple[int, int]:
    """Take as many descriptors as we may; return the limits we were started with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def let_go_of_the_terminal() -> None:
    """Send what Python itself may still print to nowhere; our log is a file by now."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def prepare(places: Places) -> None:
    """Make the daemon's directories, or check that nobody else can write into them.

    Raises LinodmgrError. Root's are readable by all, because runners of all users come here;
    the locks are not.
    """
    mode = 0o755 if os.geteuid() == 0 else 0o700
    for directory in (places.runtime_dir, places.state_dir, places.log_dir):
        own(directory, mode)
    own(places.lock_dir, 0o700)


def log_to(path: Path | None) -> None:
    """Send our own log to the file ``path``, or to standard error if there is none.

    The journal of systemd has instants of its own.
    """
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        from logging.handlers import RotatingFileHandler

        handler = RotatingFileHandler(path, "a", OWN_LOG_BYTES, OWN_LOGS_KEPT, "utf-8", errors="replace")
    journal = path is None and "JOURNAL_STREAM" in os.environ
    form = "%(levelname)s %(message)s" if journal else "%(asctime)s %(levelname)s %(message)s"
    handler.setFormatter(logging.Formatter(form))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
