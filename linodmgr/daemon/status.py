"""What ``linodmgr status`` shows, and what became of a site after a command."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime

from linodmgr import __version__
from linodmgr.core import shown
from linodmgr.core.job_states import attention
from linodmgr.core.site import Site
from linodmgr.core.states import Blocked, Goal, Stopped, Stopping
from linodmgr.core.worker import is_failing, pid_of
from linodmgr.daemon.holds import UNKNOWN
from linodmgr.daemon.jobs import JobBook
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.roster import DISABLED
from linodmgr.daemon.usage import Usage, usage
from linodmgr.protocol import Progress, Result, SiteStatus, Snapshot

JOBS_NAMED = 2  # that a stop waits for


class Status:
    """Reads the loop; changes nothing."""

    def __init__(self, loop: Loop, logs: Logs, book: JobBook) -> None:
        self.is_wanted: Callable[[Site], bool] = lambda _site: True  # but for a hold
        self._loop = loop
        self.book = book
        self._logs = logs

    def snapshot(self, names: Sequence[str]) -> Snapshot:
        """Return all that is known of ``names``."""
        used = usage([pid for name in names if (pid := pid_of(self._loop.fleet[name])) is not None])
        return Snapshot(__version__, os.getpid(), [self._site(name, used) for name in names])

    def progress(self, name: str) -> Progress:
        """Return where a site is on its way."""
        word = shown.word(self._loop.fleet[name])
        if span := self._waiting(name):
            waited, limit = span
            return Progress(name, word, "", self.waits_for(name), round(waited, 3), round(limit, 3))
        return Progress(name, word, self._loop.reason(name))

    def waits_for(self, name: str) -> str:
        """Return the jobs of a site that run, in words."""
        jobs = [job.name for job in self.book.of(name).underway.values()]
        if len(jobs) <= JOBS_NAMED:
            return " and ".join(jobs)
        return f"{jobs[0]} and {len(jobs) - 1} more"

    def result(self, name: str) -> Result:
        """Return what became of a site, with its last output if it began and is not as wanted."""
        worker = self._loop.fleet[name]
        is_held = isinstance(worker.state, Stopped) and self._held(name) not in ("", UNKNOWN)
        ok = (shown.is_as_wanted(worker) or is_held) and not self._lingers(name)
        silent = ok or isinstance(worker.state, Blocked)
        output = () if silent else tuple(self._logs.tail(name))
        return Result(name, shown.word(worker), ok, self._reason(name), output, pid_of(worker))

    def summary(self) -> str:
        """Return one line for ``systemctl status``."""
        words = [shown.word(self._loop.fleet[name]) for name in self._loop.fleet]
        counts = ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))
        return f"{len(words)} sites: {counts}" if words else "no sites"

    def _site(self, name: str, used: dict[int, Usage]) -> SiteStatus:
        worker, site = self._loop.fleet[name], self._loop.sites[name]
        pid = pid_of(worker)
        of_tree = used.get(pid) if pid is not None else None
        uptime = self._loop.uptime(name)
        return SiteStatus(
            name=name,
            directory=site.directory,
            state=shown.word(worker),
            goal=Goal.UP.value if self._is_lost(site) else worker.goal.value,
            pid=pid,
            since=_rfc3339(self._loop.state_since_utc(name)),
            uptime=None if uptime is None else round(uptime, 3),
            restarts=worker.restarts,
            reason=self._reason(name) or None,
            user=site.identity.user if site.identity else None,
            rss=of_tree.rss if of_tree else None,
            cpu=round(of_tree.cpu, 2) if of_tree else None,
            failing=is_failing(worker),
            attention=attention(self.book.of(name), *self._loop.instants()),
            lost_output=self._logs.lost(name),
        )

    def _reason(self, name: str) -> str:
        if span := self._waiting(name):
            return shown.waiting(self.waits_for(name), *span)
        disabled = "" if self._loop.sites[name].enabled else DISABLED
        return self._loop.reason(name) or self._lingers(name) or self._held(name) or disabled

    def _waiting(self, name: str) -> tuple[float, float] | None:
        """Return for how long a stop has been letting the process end by itself, of how many seconds."""
        match self._loop.fleet[name].state:
            case Stopping(death="", killed=False, kill_at=kill_at):
                waited = self._loop.state_age(name)
                return waited, waited + kill_at - self._loop.instants()[1]
            case _:
                return None

    def _held(self, name: str) -> str:
        return self._loop.held(name) if isinstance(self._loop.fleet[name].state, Stopped | Stopping) else ""

    def _is_lost(self, site: Site) -> bool:
        """Whether a site that is wanted is held, and nobody knows until when."""
        return self._held(site.name) == UNKNOWN and self.is_wanted(site)

    def _lingers(self, name: str) -> str:
        """Return which linod goes on for a stopped site because it is none of ours, in words."""
        if not isinstance(self._loop.fleet[name].state, Stopped):
            return ""
        return self._loop.guard.in_the_way(name)


def _rfc3339(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
