"""Tables in a pipe and on terminals of several widths, and the small words in them."""

import doctest
import io
import re

import pytest
from rich.console import Console

from linodmgr.cli import long_table, tables
from linodmgr.cli.tables import Column

COLUMNS = [
    Column("NAME"),
    Column("STATE", style=tables.state_style),
    Column("MEMORY", right=True, spare=1),
    Column("CPU", right=True, spare=2),
    Column("REASON"),
]
ROWS = [
    ["noi", "RUNNING", "112 MB", "12.3 s", ""],
    ["a-long-name", "BACKOFF FAILING", "-", "-", "exited with status 1 after 0.2 s, next try in 4 s " * 2],
]


def on_a_terminal(width: int, rows: list[list[str]] = ROWS) -> list[str]:
    console = Console(
        file=io.StringIO(), force_terminal=True, width=width, highlight=False, color_system="standard"
    )
    with console.capture() as capture:
        console.print(tables._rich(COLUMNS, rows, width))
    return capture.get().splitlines()


def without_colours(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def test_the_examples_are_true() -> None:
    outcome = doctest.testmod(tables)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_a_pipe_gets_whole_lines_in_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    tables.render(COLUMNS, ROWS)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NAME         STATE            MEMORY     CPU  REASON"
    assert lines[1] == "noi          RUNNING          112 MB  12.3 s"
    assert lines[2].startswith("a-long-name  BACKOFF FAILING       -       -  exited")
    assert len(lines) == 3


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = [without_colours(line) for line in on_a_terminal(width)]

    assert max(map(len, lines)) <= width


def test_a_narrow_terminal_loses_spare_columns_and_no_word_of_the_reason() -> None:
    heading, _noi, *reason = (without_colours(line) for line in on_a_terminal(60))

    assert heading.split() == ["NAME", "STATE", "REASON"]
    words = " ".join(line[heading.index("REASON") :] for line in reason).split()
    assert words == ROWS[1][4].split()


def test_states_have_colours_on_a_terminal() -> None:
    lines = on_a_terminal(80)

    assert "\x1b[32mRUNNING" in lines[1]
    assert "\x1b[1;31mBACKOFF FAILING" in lines[2]


def test_what_a_site_says_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tables.render(COLUMNS, [["noi", "BACKOFF", "", "", "\x1b]0;title\x07 [red]not markup[/red]"]])

    assert "\x1b" not in capsys.readouterr().out
    assert "[red]not markup[/red]" in "".join(
        on_a_terminal(200, [["noi", "BACKOFF", "", "", "[red]not markup[/red]"]])
    )


def test_no_rows_are_a_heading_alone(capsys: pytest.CaptureFixture[str]) -> None:
    tables.render(COLUMNS, [])

    assert capsys.readouterr().out == "NAME  STATE  MEMORY  CPU  REASON\n"


@pytest.mark.parametrize("width", [20, 30, 60, 80, 200])
def test_no_line_of_a_long_table_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, long_table.fitted(COLUMNS, ROWS, width, has_colours=False))) <= width


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_long_table_is_laid_out_as_a_short_one(width: int) -> None:
    ours = [line.rstrip() for line in long_table.fitted(COLUMNS, ROWS, width, has_colours=False)]
    short = [without_colours(line).rstrip() for line in on_a_terminal(width)]

    assert ours[0].split() == short[0].split()
    assert "".join(ours).replace(" ", "") == "".join(short).replace(" ", "")


def test_a_long_table_has_colours_where_the_terminal_has_them() -> None:
    said = "\n".join(long_table.fitted([*COLUMNS[:1], COLUMNS[1]], [ROWS[0][:2]], 80, has_colours=True))

    assert "\x1b[32mRUNNING\x1b[0m" in said
