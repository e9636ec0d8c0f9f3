"""What a daemon hands over to the one that it becomes by an upgrade: its state, and open descriptors.

The state is written by one version and read by another: fields may be added, with a value for when they
are not told, and are never given another meaning. Instants are monotonic seconds: the clock goes on.
"""

import os
from typing import Any

import msgspec
from msgspec import Struct

from linodmgr.config import Config
from linodmgr.core.jobs import SiteJobs
from linodmgr.core.site import Site
from linodmgr.daemon.live import LiveWorker
from linodmgr.daemon.values import worker

FORM = 1
LIMIT = 1 << 30  # bytes of a state that is believed


class HandedWorker(Struct, frozen=True, kw_only=True):
    """One site with its worker, whether that has a process or not."""

    site: Site
    worker: Any  # packed
    state_since: float
    started: float | None = None  # the process


class HandedRunner(Struct, frozen=True, kw_only=True):
    """One runner and its connection."""

    worker: int  # its pid
    connection: int = -1  # a descriptor; -1: it has none
    pid: int = 0  # of the process that speaks
    half: bytes = b""  # the beginning of a line
    out: bytes = b""  # what it has not read yet
    greeted: bool = False
    stacks: int = 0
    unhooked: str = ""
    garbled: bool = False
    young_until: float = 0.0


class HandedInquirer(Struct, frozen=True, kw_only=True):
    """One process that asks for the past of a site; ``out``: the rest of its answer."""

    connection: int
    uid: int
    half: bytes = b""
    out: bytes = b""


class HandedWish(Struct, frozen=True, kw_only=True):
    """A run that somebody has asked for, and follows."""

    token: str
    site: str
    job: str  # id
    name: str
    wanted: str  # as it was asked for
    state: str = "queued"


class HandedClient(Struct, frozen=True, kw_only=True):
    """One connection of the command line; ``waits``: for sites, which are named."""

    connection: int
    half: bytes = b""  # of its request
    asked: bool = False
    waits: tuple[str, ...] = ()
    wants: str = ""  # the goal that it has asked for
    holder: tuple[int, int] | None = None  # pid and start of a process that sites shall be held for
    results: Any = ()
    lines: tuple[str, ...] = ()
    follows: HandedWish | None = None


class HandedRound(Struct, frozen=True, kw_only=True):
    """Restarts that one command wants: who waits, with the pid of then, and who is on its way."""

    waiting: list[tuple[str, int | None]] = []
    moving: list[str] = []
    at_once: int = 1
    now: bool = False


class HandedBook(Struct, frozen=True, kw_only=True):
    """What is known of the jobs of all sites."""

    sites: dict[str, SiteJobs] = {}
    known: set[str] = set()
    watchdogs: dict[str, float] = {}


class Handover(Struct, frozen=True, kw_only=True):
    """The state of a daemon."""

    form: int = FORM
    version: str  # of linodmgr that hands over
    config: Any  # the configuration in use
    open_files: tuple[int, int]  # the limits that the daemon was once started with
    notify: str = ""  # NOTIFY_SOCKET
    lock: int  # descriptors, as are the two below
    control: int
    report: int
    workers: list[HandedWorker]  # those that wait for their turn in order
    live: list[LiveWorker] = []
    strangers: list[int] = []  # children that whoever executed the first daemon had started
    book: HandedBook = HandedBook()
    runners: list[HandedRunner] = []
    dumps: dict[int, int] = {}  # where the stacks of hanging workers begin, by pid
    inquirers: list[HandedInquirer] = []
    clients: list[HandedClient] = []
    asker: int = -1  # the descriptor of the client that asked for the upgrade
    logs: dict[str, Any] = {}
    rounds: list[HandedRound] = []
    in_the_way: list[tuple[str, int]] = []  # linods of others, by site and pid

    def descriptors(self) -> list[int]:
        """Return all that must stay open."""
        found = [self.lock, self.control, self.report, self.asker]
        found += [one.connection for one in self.runners]
        found += [one.connection for one in self.inquirers]
        found += [one.connection for one in self.clients]
        found += [one.get("pipe", -1) for one in self.logs.values()]
        return [descriptor for descriptor in found if descriptor >= 0]


_DECODER: msgspec.msgpack.Decoder[Handover] = msgspec.msgpack.Decoder(Handover)


def write(state: Handover, file: int) -> None:
    """Write ``state`` into the file ``file``. Raises OSError."""
    left = memoryview(msgspec.msgpack.encode(state))
    while left:
        left = left[os.write(file, left) :]


def read(file: int) -> Handover:
    """Return the state in the file ``file``. Raises ValueError or OSError."""
    with open(file, "rb", closefd=False) as stream:
        stream.seek(0)
        state = _DECODER.decode(stream.read(LIMIT))
    if state.form != FORM:
        raise ValueError(f"form {state.form} of the state is not known, only {FORM}")
    for site in state.book.sites.values():  # one and the same job stands in both
        site.underway = {name: site.jobs[name] for name in site.underway if name in site.jobs}
    return state


def check(state: Handover) -> Config:
    """Take apart all that is handed over as a whole; return the configuration. Raises ValueError."""
    for one in state.workers:
        worker(one.worker)
    return config_of(state)


def packed(config: Config) -> Any:
    """Return a configuration as bytes can hold it."""
    return msgspec.to_builtins(config, enc_hook=str)  # paths are all that msgspec does not know


def config_of(state: Handover) -> Config:
    """Return the configuration that was in use. Raises ValueError."""
    return msgspec.convert(state.config, Config, dec_hook=lambda kind, text: kind(text))
