"""What is recorded of each live worker, so that the next daemon can take it over."""

from msgspec import Struct

from linodmgr.core.site import Site


class LiveWorker(Struct, frozen=True, kw_only=True):
    """One live worker; instants are monotonic seconds, which one boot shares."""

    site: Site  # as it was spawned
    pid: int
    started: int  # clock ticks after boot, field 22 of proc_pid_stat(5)
    boot: str  # /proc/sys/kernel/random/boot_id
    place: tuple[int, int]  # st_dev and st_ino of the project directory
    digest: str  # of all that was spawned: arguments, environment, identity
    cgroup: str  # the directory of its own cgroup; empty: it has none
    mark: str  # LINODMGR_START in its environment: unique for this start
    runner: str  # the directory of its runner
    since: float  # when it was spawned
    ready: bool = False
    restarts: int = 0
    early_deaths: int = 0
