"""What a manager costs while nothing happens: wake-ups and memory."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.bench.managers import Linodmgr, Manager, Supervisor, running
from tests.bench.table import show
from tests.eventually import eventually

SECONDS = 10.0
CALM = 15.0  # seconds after the last start, so that nothing is left to be done


def wake_ups(pid: int) -> int:
    """Return how often all threads of ``pid`` were switched away from, so far."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        total += sum(
            int(line.split()[1]) for line in status.read_text().splitlines() if "ctxt_switches" in line
        )
    return total


def after(seconds: float) -> Callable[[], bool]:
    """Return what tells whether ``seconds`` have gone by."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def main(count: int) -> None:
    """Measure and print."""
    with ExitStack() as stack:
        kinds: tuple[type[Linodmgr | Supervisor], ...] = (Linodmgr, Supervisor)
        managers: list[Manager] = [stack.enter_context(running(kind, count)) for kind in kinds]
        for manager in managers:
            manager.workers.started(count)
        eventually(after(CALM), "calm", limit=2 * CALM)
        before = [wake_ups(manager.process.pid) for manager in managers]
        eventually(after(SECONDS), "the time is over", limit=2 * SECONDS)
        rows = [
            [
                manager.name,
                str(wake_ups(manager.process.pid) - start),
                f"{manager.process.memory_info().rss / 1e6:.1f} MB",
                f"{manager.process.memory_full_info().uss / 1e6:.1f} MB",
            ]
            for manager, start in zip(managers, before, strict=True)
        ]
    heading = ["", f"wake-ups in {SECONDS:g} s", "RSS", "of it private"]
    show(f"Idle with {count} workers", heading, rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
