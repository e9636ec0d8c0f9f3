"""Tables and small words for people: plain columns in a pipe, rich on a terminal, from the same rows."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

# Control characters but the tab, line ends of Unicode, and what changes the direction of writing.
UNSAFE = r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"

GAP = 2  # spaces between columns
MANY = 100  # rows, from which on rich takes too long
NARROW = 16  # the width below which no column gives room for the last one if that has half of it
WRAP = 24  # the width below which the last column gets room by leaving others out

STATE_STYLES = {
    "RUNNING": "green",
    "IDLE": "dim",
    "STOPPED": "dim",
    "QUEUED": "cyan",
    "STARTING": "cyan",
    "STOPPING": "cyan",
    "BACKOFF": "yellow",
    "BLOCKED": "red",
    "FAILING": "bold red",
}


class Column(NamedTuple):
    """A heading and how its cells are shown.

    ``spare``: on a narrow terminal the columns with the highest number go first; 0 stays.
    ``style``: what rich calls the style of a cell, from its text.
    """

    title: str
    right: bool = False
    spare: int = 0
    style: Callable[[str], str] | None = None


def render(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print ``rows`` under ``columns``; a long last column wraps on a terminal, never in a pipe."""
    rows = printable_rows(rows)
    if not sys.stdout.isatty():
        for line in plain(columns, rows):
            print(line)
        return
    if len(rows) > MANY:
        from linodmgr.cli.long_table import coloured

        for line in coloured(columns, rows):
            print(line)
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_rich(columns, rows, console.width))


@contextlib.contextmanager
def live(columns: Sequence[Column]) -> Iterator[Callable[[Sequence[Sequence[str]]], None]]:
    """Yield what shows other rows in the place of the last ones; for a terminal."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False) as shown:
        yield lambda rows: shown.update(_rich(columns, printable_rows(rows), console.width), refresh=True)


def printable_rows(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return ``rows`` with control characters made visible."""
    return [[printable(cell) for cell in row] for row in rows]


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table in plain columns.

    >>> for line in plain([Column("NAME"), Column("PID", right=True), Column("REASON")],
    ...                   [["noi", "7", ""], ["voga", "1234", "exited with status 1"]]):
    ...     print(line)
    NAME   PID  REASON
    noi      7
    voga  1234  exited with status 1
    """
    titles = [column.title for column in columns]
    widths = widths_of(columns, rows)
    for row in (titles, *rows):
        cells = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        )
        yield (" " * GAP).join(cells).rstrip()


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the indexes of the columns to show in ``width`` cells.

    >>> columns = [Column("NAME"), Column("CPU", spare=1), Column("MEMORY", spare=2), Column("REASON")]
    >>> rows = [["noi", "0.3 s", "112 MB", "exited with status 1 after 0.2 s"]]
    >>> fitting(columns, rows, 80), fitting(columns, rows, 40), fitting(columns, rows, 20)
    ([0, 1, 2, 3], [0, 1, 3], [0, 3])
    """
    widths = widths_of(columns, rows)
    widths[-1] = min(widths[-1], WRAP)
    shown = list(range(len(columns)))
    while sum(widths[i] + GAP for i in shown) - GAP > width:
        index = max(shown, key=lambda i: columns[i].spare)
        if columns[index].spare == 0:
            break
        shown.remove(index)
    return shown


def shared(widths: Sequence[int], width: int) -> list[int]:
    """Return the widths that columns get of ``width`` cells: the widest give first, the last one keeps some.

    >>> shared([40, 6, 60], 60), shared([40, 6, 60], 120)
    ([26, 6, 24], [40, 6, 60])
    """
    *others, last = widths
    room = width - GAP * len(others)
    for narrow, least in ((NARROW, WRAP), (1, NARROW // 2)):
        while others and max(others) > narrow and sum(others) + min(last, least) > room:
            others[others.index(max(others))] -= 1
    return [*others, max(1, min(last, room - sum(others)))]


def widths_of(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return how many characters each column needs."""
    return [
        max(len(column.title), *(len(row[i]) for row in rows)) if rows else len(column.title)
        for i, column in enumerate(columns)
    ]


def _rich(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    shown = fitting(columns, rows, width)
    needed = widths_of(columns, rows)
    for i, given in zip(shown, shared([needed[i] for i in shown], width), strict=True):
        last = i == len(columns) - 1
        table.add_column(
            columns[i].title,
            width=given,
            justify="right" if columns[i].right else "left",
            no_wrap=not last,
            overflow="fold" if last else "ellipsis",
        )
    for row in rows:
        styles = (
            (column.style(cell) if column.style else "") for column, cell in zip(columns, row, strict=True)
        )
        cells = [Text(cell, style=style) for cell, style in zip(row, styles, strict=True)]
        table.add_row(*(cells[i] for i in shown))
    return table


def state_style(state: str) -> str:
    """Return the style of a state's word; what follows the word does not matter.

    >>> state_style("RUNNING"), state_style("BACKOFF FAILING")
    ('green', 'bold red')
    """
    words = state.split()
    return STATE_STYLES.get(words[-1], "") if words else ""


def printable(text: str) -> str:
    r"""Return ``text`` in one line, with control characters made visible: it may come from a site.

    >>> printable("two\nlines \x1b[31mred")
    'two lines \\x1b[31mred'
    """
    return text if text.isprintable() else escaped(" ".join(text.split()))


def escaped(text: str) -> str:
    r"""Return ``text`` with what could control a terminal made visible; tabs stay.

    >>> escaped("\x1b[31mred\tand back\b\u202e")
    '\\x1b[31mred\tand back\\x08\\u202e'
    """
    if text.isprintable():  # almost always, and without compiling the expression
        return text
    return re.sub(UNSAFE, lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def span(seconds: float) -> str:
    """Return a duration in words, with the two largest units that matter.

    >>> [span(s) for s in (0.25, 4, 75, 3600, 7380, 273600, 40 * 86400)]
    ['0 s', '4 s', '75 s', '60 min', '2 h 3 min', '3 d 4 h', '40 d']
    """
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86400))
    if minutes < 2:
        return f"{max(0, int(seconds))} s"
    if hours < 2:
        return f"{minutes} min"
    if days < 2:
        return _two(hours, "h", minutes % 60, "min")
    return _two(days, "d", hours % 24 if days < 30 else 0, "h")


def took(seconds: float) -> str:
    """Return how long something took, also if that was short.

    >>> [took(s) for s in (0.0004, 0.25, 3.0, 3.21, 12.3, 75, 7380)]
    ['0 ms', '250 ms', '3 s', '3.2 s', '12 s', '75 s', '2 h 3 min']
    """
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    return f"{seconds:.2g} s" if seconds < 10 else span(seconds)


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def ago(seconds: float) -> str:
    """Return how long ago, or in how long, something is; ``seconds`` is its age.

    >>> ago(125), ago(0.4), ago(-3600)
    ('2 min ago', 'now', 'in 60 min')
    """
    if abs(seconds) < 1:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def age(instant: str, now: datetime | None = None) -> float:
    """Seconds since ``instant``, RFC 3339 as in our JSON; negative if it is yet to come.

    >>> age("2026-11-23T18:45:01Z", datetime(2026, 11, 23, 18, 46, 1, tzinfo=timezone.utc))
    60.0
    """
    then = datetime.fromisoformat(instant.replace("Z", "+00:00"))
    return ((now or datetime.now(timezone.utc)) - then).total_seconds()


def size(count: int) -> str:
    """Return a number of bytes in words.

    >>> size(900), size(112_400_000), size(2_340_000_000)
    ('900 B', '112 MB', '2.3 GB')
    """
    if count < 1000:
        return f"{count} B"
    for unit, factor in (("kB", 1000), ("MB", 1000**2)):
        if count < 999.5 * factor:
            return f"{count / factor:.0f} {unit}"
    return f"{count / 1000**3:.1f} GB"


def joined(names: Iterable[str]) -> str:
    """Return names for a sentence.

    >>> joined(["noi"]), joined(["noi", "voga"]), joined(["a", "b", "c"])
    ('noi', 'noi and voga', 'a, b and c')
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
