"""What CLI and daemon say to each other, and what a runner tells the daemon: typed JSON lines.

A connection to the control socket carries one Request and then any number of Answers,
the last of which is Done or Refused. Instants are RFC 3339 UTC, durations seconds.
"""

from typing import Any

import msgspec
from msgspec import Struct

VERSION = 1
REQUEST_LIMIT = 64 * 1024  # bytes of one line from a client or a runner
ANSWER_LIMIT = 16 * 1024 * 1024  # bytes of one line from the daemon


class Start(Struct, tag="start", frozen=True, forbid_unknown_fields=True):
    """Want sites UP; answers Progress while they start, then Done. No names: all sites."""

    sites: tuple[str, ...] = ()
    wait: bool = True
    version: int = VERSION


class Stop(Struct, tag="stop", frozen=True, forbid_unknown_fields=True):
    """Want sites DOWN. No names: all sites. ``daemon``: end the daemon too, goals stay as they are."""

    sites: tuple[str, ...] = ()
    wait: bool = True
    daemon: bool = False
    version: int = VERSION


class Restart(Struct, tag="restart", frozen=True, forbid_unknown_fields=True):
    """Stop and start sites; what is down is started. No names: all sites."""

    sites: tuple[str, ...] = ()
    wait: bool = True
    version: int = VERSION


class Status(Struct, tag="status", frozen=True, forbid_unknown_fields=True):
    """Ask for the state of sites; answered by one Snapshot, then Done. No names: all sites."""

    sites: tuple[str, ...] = ()
    version: int = VERSION


class Reload(Struct, tag="reload", frozen=True, forbid_unknown_fields=True):
    """Read the configuration again; Done says what was done, Refused why the old one is kept."""

    wait: bool = True
    version: int = VERSION


class ListJobs(Struct, tag="list", frozen=True, forbid_unknown_fields=True):
    """Run one site's list mode as the site's user; answered by one Listing, then Done."""

    site: str
    time_limit: float = 60.0  # seconds
    version: int = VERSION


Request = Start | Stop | Restart | Status | Reload | ListJobs


class SiteStatus(Struct, frozen=True):
    """One site as ``status --json`` shows it; unknown is None."""

    name: str
    directory: str
    state: str  # the word shown: RUNNING, BACKOFF ...
    goal: str  # UP or DOWN
    pid: int | None
    since: str | None  # RFC 3339 UTC: when this state was entered
    uptime: float | None  # seconds since the process was started
    restarts: int
    reason: str | None
    user: str | None
    rss: int | None  # bytes, of the worker's whole tree
    cpu: float | None  # seconds of CPU since start, of the worker's whole tree
    failing: bool = False


class Snapshot(Struct, tag="snapshot", frozen=True):
    """All that status shows."""

    version: str
    pid: int
    sites: list[SiteStatus]


class Progress(Struct, tag="progress", frozen=True):
    """A site on its way: ``state`` is the word shown, ``reason`` words or empty."""

    site: str
    state: str
    reason: str = ""


class Result(Struct, frozen=True):
    """What became of one site: ``ok`` if it is as asked; ``output``: its last lines if it is not."""

    site: str
    state: str
    ok: bool
    reason: str = ""
    output: tuple[str, ...] = ()
    pid: int | None = None


class Listing(Struct, tag="listing", frozen=True):
    """What a site's list mode printed (a JSON object as text), or the reason why there is none."""

    site: str
    text: str = ""
    reason: str = ""


class Done(Struct, tag="done", frozen=True):
    """The last answer: a result per site asked for, and lines for people (reload)."""

    results: list[Result] = []
    lines: list[str] = []


class Refused(Struct, tag="refused", frozen=True):
    """The last answer when nothing was done: one-line reason in our wording, and the exit code."""

    reason: str
    exit_code: int = 1


Answer = Snapshot | Progress | Listing | Done | Refused


class Hello(Struct, tag="hello", frozen=True):
    """A runner is there and waits for Go."""

    version: int = VERSION
    python: str = ""  # of the site


class Ready(Struct, tag="ready", frozen=True):
    """The loop that runs the jobs has begun."""


class Idle(Struct, tag="idle", frozen=True):
    """The site does not use linod or has no jobs; if the process then ends with 0, it is at rest."""

    reason: str


class Unhooked(Struct, tag="unhooked", frozen=True):
    """No hook fits; the site runs all the same and READY will never come."""

    reason: str


class Missing(Struct, tag="missing", frozen=True):
    """Something that the site needs is not there; once the process has ended, it is BLOCKED.

    Sent instead of waiting for Go.
    """

    reason: str


class Remark(Struct, tag="remark", frozen=True):
    """Words that explain the end that is about to come; shown as the reason of that end."""

    text: str


Report = Hello | Ready | Idle | Unhooked | Missing | Remark


class Go(Struct, tag="go", frozen=True):
    """The daemon has set the limits; the runner may begin."""

    version: int = VERSION


_REQUEST: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_ANSWER: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_REPORT: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def encode(message: Struct) -> bytes:
    """Return ``message`` as one JSON line."""
    return msgspec.json.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Return the request in ``line``. Raises ValueError if it is none of this version."""
    version = _version(line)
    if version != VERSION:
        versions = f"it speaks version {version!r} of the protocol, this daemon version {VERSION}"
        raise ValueError(f"{versions}: restart the daemon after an upgrade")
    return _REQUEST.decode(line)


def decode_answer(line: bytes) -> Answer:
    """Return the answer in ``line``. Raises ValueError if it is none."""
    return _ANSWER.decode(line)


def decode_report(line: bytes) -> Report:
    """Return the report in ``line``. Raises ValueError if it is none."""
    return _REPORT.decode(line)


def _version(line: bytes) -> Any:
    message = msgspec.json.decode(line)
    return message.get("version") if isinstance(message, dict) else None
