"""How a daemon begins, anew or as what the one before has become, and its exit code."""

import asyncio
import logging
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from linodmgr.config import load
from linodmgr.daemon import handover, upgrade
from linodmgr.daemon.ground import log_to, prepare, undo_surroundings
from linodmgr.daemon.keep import lock_daemon
from linodmgr.daemon.main import Daemon
from linodmgr.errors import LinodmgrError

log = logging.getLogger(__name__)

USAGE = "usage: python -m linodmgr.daemon --config FILE [--background] [--try FD | --take-over FD]"


def main(arguments: Sequence[str]) -> int:
    """Run the daemon until it is asked to stop; return its exit code."""
    match list(arguments):
        case ["--config", path]:
            more: list[str] = []
            background = False
        case ["--config", path, "--background", *more]:
            background = True
        case ["--config", path, *more]:
            background = False
        case _:
            return _usage()
    try:
        match more:
            case []:
                undo_surroundings()
                return _run(Path(path), background)
            case [upgrade.TRY, file]:
                return upgrade.rehearse(Path(path), int(file))
            case [upgrade.TAKE_OVER, file]:
                return _take_over(Path(path), background, int(file))
            case _:
                return _usage()
    except LinodmgrError as error:
        print(f"linodmgr: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"linodmgr: cannot start the daemon: {error}", file=sys.stderr)
        return 1


def _usage() -> int:
    print(USAGE, file=sys.stderr)
    return 2


def _run(path: Path, background: bool) -> int:
    os.umask(0o022)
    os.chdir("/")
    config = load(path)
    prepare(config.places)
    lock = lock_daemon(config.places.runtime_dir)
    try:
        log_to(config.places.log_dir / "_daemon.log" if background else None)
        for problem in config.problems:
            log.warning("%s", problem)
        return asyncio.run(Daemon(config, background, lock).serve())
    finally:
        os.close(lock)


def _take_over(path: Path, background: bool, file: int) -> int:
    """Be what the daemon in this very process has become; signals are blocked until it serves."""
    try:
        state = handover.read(file)
        config = handover.config_of(state)
    except (ValueError, RecursionError, OSError) as error:
        # The files have changed since they were tried. Whoever lives is found by what is recorded.
        os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        print(f"linodmgr: cannot take over from the daemon before: {error}: starting anew", file=sys.stderr)
        undo_surroundings()
        return _run(path, background)
    os.close(file)
    try:
        log_to(config.places.log_dir / "_daemon.log" if background else None)
        return asyncio.run(Daemon(config, background, state.lock, state).serve())
    finally:
        os.close(state.lock)
