"""Tables of hundreds of rows on a terminal: rich takes longer for them than the daemon for its answer."""

import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence

from linodmgr.cli.tables import GAP, WRAP, Column, fitting, widths_of

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def coloured(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table as wide as the terminal, in colours if it has them."""
    has_colours = "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") not in {"", "dumb"}
    yield from fitted(columns, rows, shutil.get_terminal_size().columns, has_colours)


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, has_colours: bool
) -> Iterator[str]:
    """Yield the lines of a table that is at most ``width`` characters wide; its last column wraps."""
    *most, last = fitting(columns, rows, width)
    needed = widths_of(columns, rows)
    widths = {index: needed[index] for index in most}
    while (left := width - sum(widths.values()) - GAP * len(widths)) < min(WRAP, needed[last]):
        widest = max(widths, key=lambda index: widths[index])
        if widths[widest] <= len(columns[widest].title) or widths[widest] == 1:
            break
        widths[widest] -= 1
    left = max(1, left)
    for number, row in enumerate(([column.title for column in columns], *rows)):
        start = "".join(
            _cell(row[index], widths[index], columns[index].right) + " " * GAP for index in widths
        )
        pieces = [row[last]] if len(row[last]) <= left else textwrap.wrap(row[last], left)
        codes = _codes("bold" if not number else _style(columns[last], row[last])) if has_colours else ""
        for piece in pieces or [""]:
            text = f"\x1b[{codes}m{piece}\x1b[0m" if codes and piece else piece
            heading = f"\x1b[1m{start}\x1b[0m" if codes and not number else start
            yield f"{heading}{text}".rstrip()
            start = " " * len(start)


def _cell(text: str, width: int, right: bool) -> str:
    if len(text) > width:
        text = text[: width - 1] + "…"
    return text.rjust(width) if right else text.ljust(width)


def _style(column: Column, text: str) -> str:
    return column.style(text) if column.style else ""


def _codes(style: str) -> str:
    return ";".join(CODES[word] for word in style.split())
