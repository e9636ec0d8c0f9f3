"""What tests of upgrades have in common."""

import os
import subprocess

import psutil

from linodmgr.protocol import Upgrade
from tests.real.asking import done
from tests.real.daemon_fixture import LINODMGR, Daemon


def command(daemon: Daemon, *words: str) -> "subprocess.Popen[str]":
    """Begin a command."""
    return subprocess.Popen(
        [LINODMGR, *words],
        env=daemon._environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def upgrade(daemon: Daemon) -> str:
    """Upgrade; return what the next daemon says."""
    return "\n".join(done(daemon, Upgrade()).lines)


def descriptors(daemon: Daemon) -> dict[str, str]:
    """Return what the daemon has open, by number."""
    place = f"/proc/{daemon.pid}/fd"
    return {number: os.readlink(f"{place}/{number}") for number in os.listdir(place)}


def children(daemon: Daemon) -> list[int]:
    """Return the processes that the daemon has started."""
    return [child.pid for child in psutil.Process(daemon.pid).children()]
