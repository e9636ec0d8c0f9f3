"""How long it takes until all workers of a manager that was just started have begun."""

import sys

from tests.bench.managers import Linodmgr, Supervisor, running
from tests.bench.table import show, spread

ROUNDS = 7
KINDS: tuple[type[Linodmgr | Supervisor], ...] = (Linodmgr, Supervisor)


def measure(kind: type[Linodmgr | Supervisor], count: int) -> tuple[float, float]:
    """Return the seconds from the launch, and from the first worker, to the last worker's stamp."""
    with running(kind, count) as manager:
        stamps = sorted(stamp.at for stamp in manager.workers.started(count))
        return (stamps[-1] - manager.workers.launched) / 1e9, (stamps[-1] - stamps[0]) / 1e9


def main(count: int) -> None:
    """Measure and print."""
    times: dict[str, list[tuple[float, float]]] = {kind.name: [] for kind in KINDS}
    for _ in range(ROUNDS):
        for kind in KINDS:
            times[kind.name].append(measure(kind, count))
    rows = []
    for name, values in times.items():
        rows.append([f"{name}, from its launch", *spread([whole for whole, _ in values], "s")])
        rows.append([f"{name}, from the first worker", *spread([workers for _, workers in values], "s")])
    show(f"Start of {count} workers, {ROUNDS} times", ["to the last worker", "median", "least", "most"], rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
