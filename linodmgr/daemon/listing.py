"""A site's list mode, for people who may ask us but may not become the site's user."""

from pathlib import Path

from linodmgr.core.site import Site
from linodmgr.protocol import Listing


class Lister:
    def __init__(self, runner_dir: Path) -> None:
        self._runner_dir = runner_dir

    async def listing(self, site: Site, time_limit: float) -> Listing:
        return Listing(site.name, reason=str(time_limit))
