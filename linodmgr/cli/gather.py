"""The job listings of many sites, gathered side by side."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeAlias

from linodmgr import listmode
from linodmgr.cli import listing
from linodmgr.cli.listing import Listed
from linodmgr.core.site import Site

Ask: TypeAlias = Callable[[Site], bytes | str]  # for another user's listing; raises NoListing
Tell: TypeAlias = Callable[[Site], None]


@dataclass(frozen=True, slots=True)
class Answered:
    """A site told its jobs; ``told_utc`` is when."""

    site: Site
    listed: Listed
    told_utc: datetime


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A site's jobs are not known."""

    site: Site
    reason: str


Outcome: TypeAlias = Answered | Unanswered


@dataclass(frozen=True, slots=True)
class Gatherer:
    """How listings are come by."""

    runner_dir: Path
    ask: Ask
    time_limit: float  # seconds for each site
    at_once: int

    def gather(self, sites: Iterable[Site], tell: Tell) -> list[Outcome]:
        """Return what each site answered, in the order of ``sites``; ``tell`` hears of each as it does.

        When interrupted, no process is left behind.
        """
        cancelled = os.eventfd(0)
        pool = ThreadPoolExecutor(self.at_once)
        try:
            waiting = {pool.submit(self._outcome, site, cancelled): site for site in sites}
            for answered in as_completed(waiting):
                tell(waiting[answered])
            return [answered.result() for answered in waiting]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            os.eventfd_write(cancelled, 1)
            pool.shutdown()
            os.close(cancelled)

    def _outcome(self, site: Site, cancelled: int) -> Outcome:
        if site.problem:
            return Unanswered(site, site.problem)
        try:
            text = self._text(site, cancelled)
        except listmode.NoListing as error:
            return Unanswered(site, listing.shown(str(error)))
        try:
            return Answered(site, listing.read(text), datetime.now(timezone.utc))
        except ValueError:
            return Unanswered(site, "printed something else than a job listing")

    def _text(self, site: Site, cancelled: int) -> bytes | str:
        us = os.geteuid()
        if us == 0 or (site.identity is not None and site.identity.uid == us):
            return listmode.print_of(site, self.runner_dir, self.time_limit, cancelled)
        return self.ask(site)
