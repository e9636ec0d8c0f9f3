"""How long it takes to ask what runs, into a pipe, in alternating pairs."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.managers import Linodmgr, Supervisor, running
from tests.bench.table import show, spread
from tests.real.daemon_fixture import LINODMGR

ROUNDS = 31


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return how long ``command`` takes."""
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    took = time.perf_counter() - began
    assert done.returncode in (0, 3), done.stderr
    assert done.stdout.count(b"\n") >= 1
    return took


def main(count: int) -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {"linodmgr status": [], "supervisorctl status": []}
    with running(Linodmgr, count) as ours, running(Supervisor, count) as theirs:
        for manager in (ours, theirs):
            manager.workers.started(count)
        config: Path = theirs.workers.home / "supervisord.conf"
        commands = {
            "linodmgr status": [LINODMGR, "status"],
            "supervisorctl status": ["supervisorctl", "-c", str(config), "status"],
        }
        environment = {**os.environ, "LINODMGR_CONFIG": str(ours.workers.home / "sites.toml")}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                times[name].append(1000 * seconds(command, environment))
    rows = [[name, *spread(values, "ms")] for name, values in times.items()]
    show(f"Status of {count} workers, {ROUNDS} times", ["", "median", "least", "most"], rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
