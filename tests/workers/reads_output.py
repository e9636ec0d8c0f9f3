"""The part of the daemon that reads a site's output: for the site "one" in the directory that it is given."""

import asyncio
import os
import sys
from pathlib import Path

from linodmgr.core.site import Identity, Site
from linodmgr.daemon.logs import Logs


async def read(home: Path) -> None:
    identity = Identity("me", os.geteuid(), os.getegid(), (), "/", "/bin/sh")
    keys = {"log_max_bytes": int(sys.argv[2]), "log_keep": 500}
    site = Site(name="one", directory=str(home), identity=identity, **keys)  # type: ignore[arg-type]
    logs = Logs(home / "log", home / "output")
    if sys.argv[3:] == ["removed"]:  # from the configuration, while its worker lives
        logs.resume([])
        assert logs.attach(site, identity.uid)
    else:
        logs.resume([site])
        os.close(logs.open(site))
    print("reads", flush=True)
    await asyncio.Event().wait()


asyncio.run(read(Path(sys.argv[1])))
