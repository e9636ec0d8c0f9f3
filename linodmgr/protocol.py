"""What CLI and daemon say to each other: typed JSON lines; for runners see runner_protocol.

A connection to the control socket carries one Request and then any number of Answers,
the last of which is Done or Refused. Instants are RFC 3339 UTC, durations seconds.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from linodmgr.job_protocol import JobRun as JobRun
from linodmgr.job_protocol import JobStatus as JobStatus
from linodmgr.job_protocol import PastExit as PastExit
from linodmgr.job_protocol import PastRun as PastRun
from linodmgr.job_protocol import SiteHistory as SiteHistory
from linodmgr.job_protocol import SiteJobs as SiteJobs

VERSION = 1
REQUEST_LIMIT = 64 * 1024  # bytes of one line from a client
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
    now: bool = False  # kill, let no job end
    version: int = VERSION


class Restart(Struct, tag="restart", frozen=True, forbid_unknown_fields=True):
    """Stop and start sites, a few at a time; what is down is started. No names: all sites."""

    sites: tuple[str, ...] = ()
    wait: bool = True
    now: bool = False  # kill, let no job end
    at_once: Annotated[int, Meta(ge=0)] = 0  # how many sites; 0: as the daemon does it by itself
    version: int = VERSION


class Hold(Struct, tag="hold", frozen=True, forbid_unknown_fields=True):
    """Keep sites stopped as long as a process lives, which waits until it hears Done. No names: all sites.

    The process must belong to whoever asks. What ran before is started when it has ended.
    """

    sites: tuple[str, ...]
    pid: int
    started: int  # clock ticks after boot, field 22 of proc_pid_stat(5)
    command: str  # for people
    version: int = VERSION


class Release(Struct, tag="release", frozen=True, forbid_unknown_fields=True):
    """Hold sites no longer; what shall run is started. No names: all sites.

    ``pid``: only for the process of that pid and ``started``, which has ended.
    """

    sites: tuple[str, ...] = ()
    wait: bool = True
    pid: int = 0
    started: int = 0
    version: int = VERSION


class Status(Struct, tag="status", frozen=True, forbid_unknown_fields=True):
    """Ask for the state of sites; answered by one Snapshot, then Done. No names: all sites."""

    sites: tuple[str, ...] = ()
    version: int = VERSION


class Reload(Struct, tag="reload", frozen=True, forbid_unknown_fields=True):
    """Read the configuration again; Done says what was done, Refused why the old one is kept."""

    wait: bool = True
    version: int = VERSION


class Upgrade(Struct, tag="upgrade", frozen=True, forbid_unknown_fields=True):
    """Become the daemon that is installed now; Done comes from that one, Refused says why nothing changed."""

    version: int = VERSION


class ListJobs(Struct, tag="list", frozen=True, forbid_unknown_fields=True):
    """Run one site's list mode as the site's user; answered by one Listing, then Done."""

    site: str
    time_limit: float = 60.0  # seconds
    version: int = VERSION


class Jobs(Struct, tag="jobs", frozen=True, forbid_unknown_fields=True):
    """Ask what is known of jobs; one SiteJobs per site, then Done. No names: all sites.

    ``watch``: instead of Done a SiteJobs again for each site of which something changes.
    """

    sites: tuple[str, ...] = ()
    watch: bool = False
    version: int = VERSION


class RunJob(Struct, tag="run", frozen=True, forbid_unknown_fields=True):
    """Run a job now, in its worker; answers JobRun as it goes, then Done.

    ``job``: its id or its name. Refused names the candidates if none or several fit.
    """

    site: str
    job: str
    wait: bool = True  # for its end
    version: int = VERSION


class History(Struct, tag="history", frozen=True, forbid_unknown_fields=True):
    """Ask for past runs and exits; one SiteHistory per site, then Done. No names: all sites."""

    sites: tuple[str, ...] = ()
    job: str = ""  # id or name; empty: all jobs
    limit: int = 0  # the last so many runs per site, and exits; 0: all that are kept
    version: int = VERSION


Request = (
    Start | Stop | Restart | Hold | Release | Status | Reload | Upgrade | ListJobs | Jobs | RunJob | History
)


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
    attention: list[str] = []  # jobs that need attention, a line each
    lost_output: int = 0  # bytes that could not be written into its log


class Snapshot(Struct, tag="snapshot", frozen=True):
    """All that status shows."""

    version: str
    pid: int
    sites: list[SiteStatus]


class Progress(Struct, tag="progress", frozen=True):
    """A site on its way: ``state`` is the word shown, ``reason`` words or empty.

    A stop that lets the process end by itself has been waiting for ``waited`` seconds of ``limit``.
    """

    site: str
    state: str
    reason: str = ""
    waits_for: str = ""  # the jobs that run, in words; empty: none is known
    waited: float | None = None
    limit: float | None = None


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
    version: str = ""  # of linodmgr that the daemon runs


class Refused(Struct, tag="refused", frozen=True):
    """The last answer when nothing was done: one-line reason in our wording, and the exit code.

    ``again``: the daemon is being upgraded; whoever asks again is answered by the new one.
    """

    reason: str
    exit_code: int = 1
    again: bool = False


Answer = Snapshot | Progress | Listing | SiteJobs | JobRun | SiteHistory | Done | Refused


_REQUEST: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_ANSWER: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


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


def _version(line: bytes) -> Any:
    message = msgspec.json.decode(line)
    return message.get("version") if isinstance(message, dict) else None
