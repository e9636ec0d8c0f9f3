"""How long a worker is missing that was killed with SIGKILL after a good run.

Measured from the kill to the stamp of the new worker. All managers run side by side and take turns.
Arguments: how often, and the user that the workers run as (root only); the default is ourselves.
"""

import os
import signal
import sys
import time
from contextlib import ExitStack

from tests.bench.managers import Daemontools, Limit, Linodmgr, Manager, Supervisor, running
from tests.bench.table import show, spread
from tests.eventually import eventually

GOOD_RUN = 1.5  # seconds; more than what any of them asks for


def measure(manager: Manager) -> float:
    """Kill the worker of ``manager`` and return the milliseconds until the next one began."""
    before = manager.workers.stamps()
    last = before[-1]
    began = last.at / 1e9
    eventually(lambda: time.monotonic() > began + GOOD_RUN, "a good run", limit=2 * GOOD_RUN)
    killed = time.monotonic_ns()
    os.kill(last.pid, signal.SIGKILL)
    return (manager.workers.started(len(before) + 1)[-1].at - killed) / 1e6


def main(rounds: int, user: str = "") -> None:
    """Measure and print."""
    with ExitStack() as stack:
        managers = [
            stack.enter_context(running(kind, 1, user)) for kind in (Linodmgr, Supervisor, Daemontools, Limit)
        ]
        for manager in managers:
            manager.workers.started(1)
        times: dict[str, list[float]] = {manager.name: [] for manager in managers}
        for _ in range(rounds):
            for manager in managers:
                times[manager.name].append(measure(manager))
    rows = [[name, *spread(values, "ms")] for name, values in times.items()]
    show(f"Restart after SIGKILL, {rounds} times", ["", "median", "least", "most"], rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, *sys.argv[2:])
