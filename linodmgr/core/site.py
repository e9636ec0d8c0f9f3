"""What the admin configured: a Site and its Policy. Values only, no behaviour."""

from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct, field

Seconds = Annotated[float, Meta(gt=0)]


class Restart(Enum):
    """When a worker that died is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class Policy(Struct, frozen=True, kw_only=True):
    """When to restart and how long to wait; durations in seconds, see sites.toml.example."""

    restart: Restart = Restart.ALWAYS
    start_timeout: Seconds = 120.0
    settle: Seconds = 5.0
    good_run: Seconds = 60.0
    stop_timeout: Seconds = 30.0
    backoff_max: Seconds = 60.0


class Identity(Struct, frozen=True):
    """Who a site's processes run as; looked up when the configuration is loaded, then kept."""

    user: str
    uid: int
    gid: int
    groups: tuple[int, ...]  # supplementary, without gid
    home: str
    shell: str


class Site(Struct, frozen=True, kw_only=True):
    """One project directory with its virtualenv, user, umask and policy.

    ``problem`` says why the configuration of this site cannot be used; such a site is
    shown BLOCKED and never started. Without a problem there is an identity.
    """

    name: str
    directory: str  # absolute
    identity: Identity | None = None
    venv: str = ""  # as written; empty: the first of env, .venv, venv that exists
    manage: str = "manage.py"
    arguments: tuple[str, ...] = ("linod",)
    environment: dict[str, str] = field(default_factory=dict)
    environment_file: str = ""  # as written, relative to directory; empty: none
    umask: int = 0o002
    enabled: bool = True
    stop_signal: int = 15
    policy: Policy = Policy()
    nice: int = 0
    open_files: int = 0  # soft and hard limit; 0: those the daemon was started with
    memory_max: int = 0  # bytes; 0: no limit
    oom_score_adjust: int = 0  # whom the kernel ends first if there is no memory: -1000 to 1000
    job_timeout: float = 0.0  # seconds; 0: none
    watchdog: float = 120.0  # seconds; 0: none
    isolate_jobs: bool = True  # a job that fails does not end the others
    catch_up: bool = True  # a regular time that passed while no worker ran is made up for
    jobs: dict[str, float] = field(default_factory=dict)  # job_timeout by a job's name or id; 0: none
    log_max_bytes: int = 10_000_000
    log_keep: int = 5
    log_time: bool = True  # a time stamp in front of each line
    notify: str = ""
    problem: str = ""
