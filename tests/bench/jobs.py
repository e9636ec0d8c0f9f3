"""What it costs to know of every run: CPU of the daemon while jobs run, and how long `list` takes.

Each of the workers has seven jobs, of which one runs every ten seconds and reports its beginning and its end.
Arguments: how many sites, and for how many seconds.
"""

import os
import subprocess
import sys
import time

from tests.bench.idle import after
from tests.bench.managers import Linodmgr, running
from tests.bench.status import seconds
from tests.bench.table import show, spread
from tests.eventually import eventually
from tests.real.daemon_fixture import LINODMGR

REPORTER = "reporter.c"
ROUNDS = 15
CALM = 12.0  # seconds until every worker has told of its first run


def main(count: int, span: float) -> None:
    """Measure and print."""
    with running(Linodmgr, count, program=REPORTER) as manager:
        environment = {**os.environ, "LINODMGR_CONFIG": str(manager.workers.home / "sites.toml")}
        command = [LINODMGR, "list"]
        eventually(lambda: all_tell(command, environment, count), "all have told their jobs", limit=60)
        eventually(after(CALM), "calm", limit=2 * CALM)
        cpu = manager.process.cpu_times()
        began = time.monotonic()
        eventually(after(span), "the time is over", limit=2 * span)
        now = manager.process.cpu_times()
        minutes = (time.monotonic() - began) / 60
        used = (now.user + now.system - cpu.user - cpu.system) / minutes
        times = [1000 * seconds(command, environment) for _ in range(ROUNDS)]
        memory = manager.process.memory_info().rss / 1e6
    rows = [
        ["CPU of the daemon per minute", f"{used:.3f} s", "", ""],
        ["RSS of the daemon", f"{memory:.1f} MB", "", ""],
        ["linodmgr list, into a pipe", *spread(times, "ms")],
    ]
    show(
        f"{count} sites with 7 jobs each, one run of each site every 10 s",
        ["", "median", "least", "most"],
        rows,
    )


def all_tell(command: list[str], environment: dict[str, str], count: int) -> bool:
    """Whether all jobs of all sites are known."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.count("every 10 seconds") >= count


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, float(sys.argv[2]) if len(sys.argv) > 2 else 60.0)
