"""How long it takes until a new daemon has taken over the workers of one that was killed.

python -m tests.bench.adopt [WORKERS [ROUNDS]]
"""

import os
import sys
import time

from tests.bench.managers import Linodmgr, running
from tests.bench.table import show, spread
from tests.eventually import eventually


def main() -> None:
    """Kill and start the daemon several times, and look that the workers are the same all the time."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    taken: list[float] = []
    with running(Linodmgr, workers) as manager:
        assert isinstance(manager, Linodmgr)
        manager.workers.started(workers)
        daemon = manager.daemon
        eventually(lambda: _all_run(manager), "all workers are RUNNING")
        before = _pids(manager)
        for _ in range(rounds):
            daemon.kill()
            begin = time.monotonic()
            daemon.start()
            pids = _pids(manager)
            taken.append(time.monotonic() - begin)
            assert pids == before, "other workers than before"
        stamps = len(manager.workers.stamps())
        assert stamps == workers, f"{stamps - workers} workers were started again"
        restarts = sum(site["restarts"] for site in daemon.status().values())
    show(
        f"SIGKILL of the daemon with {workers} workers, start of a new one until `status` has answered",
        ("", "median", "least", "most"),
        [["taken over", *spread(taken, "s")]],
    )
    print(f"0 started again, 0 doubled, restarts counted: {restarts}, {os.cpu_count()} cores")


def _all_run(manager: Linodmgr) -> bool:
    return all(site["state"] == "RUNNING" for site in manager.daemon.status().values())


def _pids(manager: Linodmgr) -> dict[str, int]:
    return {name: site["pid"] for name, site in manager.daemon.status().items()}


if __name__ == "__main__":
    main()
