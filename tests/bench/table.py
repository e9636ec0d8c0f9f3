"""How a benchmark shows its numbers."""

import platform
import statistics
import sys
from collections.abc import Sequence


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, and the command that measures it again."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    print(f"\n{title}\n")
    for row in (headings, *rows):
        first, *others = (
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]))
    module = sys.modules["__main__"].__spec__
    print(f"\nPython {platform.python_version()}, {platform.release()}")
    print(f"again: {' '.join(['python -m', module.name if module else sys.argv[0], *sys.argv[1:]])}")


def spread(values: Sequence[float], unit: str) -> list[str]:
    """Return the cells median, least and most."""
    return [f"{value:.2f} {unit}" for value in (statistics.median(values), min(values), max(values))]
