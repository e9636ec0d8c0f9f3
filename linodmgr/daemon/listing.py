"""A site's list mode, for people who may ask us but may not become the site's user."""

import asyncio
import os
from pathlib import Path

from linodmgr import listmode
from linodmgr.core.site import Site
from linodmgr.daemon.deaf import in_thread
from linodmgr.protocol import Listing

AT_ONCE = os.cpu_count() or 1
LONGEST = 600.0  # seconds that anybody may let a site take


class Lister:
    """Runs list modes, a few at a time, each watched by a thread: the loop has workers to care for."""

    def __init__(self, runner_dir: Path, ours: set[int]) -> None:
        self._runner_dir = runner_dir
        self._ours = ours  # children that nobody else in the daemon may wait for
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def listing(self, site: Site, time_limit: float) -> Listing:
        """Return what the list mode of ``site`` printed, within ``time_limit`` seconds.

        When cancelled, no process is left behind.
        """
        if site.problem or site.identity is None:
            return Listing(site.name, reason=site.problem or "no user is known")
        async with self._turn:
            cancelled = os.eventfd(0)
            work = asyncio.create_task(
                in_thread(
                    listmode.print_of,
                    site,
                    self._runner_dir,
                    min(time_limit, LONGEST),
                    cancelled,
                    self._ours,
                    has_children=True,
                )
            )
            try:
                text = await asyncio.shield(work)
            except listmode.NoListing as error:
                return Listing(site.name, reason=str(error))
            finally:
                os.eventfd_write(cancelled, 1)
                await asyncio.wait([work])
                os.close(cancelled)
        return Listing(site.name, text.decode("utf-8", "replace"))
