"""The rules of the house that no linter knows."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parents[2]
LONGEST = 300  # lines of a file
NEVER = re.compile("T[O]DO|F[I]XME|X[X]X")  # written so that it does not find itself
PLACES = ("linodmgr", "tests", "packaging", ".ci")
SLEEPS = ("tests/eventually.py", "tests/chaos/worker.py")


def _texts() -> Iterator[tuple[str, str]]:
    paths = [path for place in PLACES for path in (HOUSE / place).rglob("*")]
    for path in sorted([*paths, *HOUSE.glob("*.md"), *HOUSE.glob("*.toml*")]):
        if path.is_file() and path.suffix != ".pyc":
            yield str(path.relative_to(HOUSE)), path.read_text()


def _code() -> Iterator[tuple[str, ast.Module]]:
    for name, text in _texts():
        if name.endswith(".py"):
            yield name, ast.parse(text)


def test_no_file_is_longer_than_300_lines() -> None:
    assert not {name: text.count("\n") for name, text in _texts() if text.count("\n") > LONGEST}


def test_nothing_is_marked_as_unfinished() -> None:
    assert not [name for name, text in _texts() if NEVER.search(text)]


def test_every_module_says_what_it_is_for() -> None:
    assert not [name for name, tree in _code() if tree.body and not ast.get_docstring(tree)]


def test_only_eventually_sleeps() -> None:
    asleep = {
        name
        for name, tree in _code()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("sleep")
    }
    assert asleep <= set(SLEEPS)


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    excuses = {
        f"{name}: {ast.unparse(node)}"
        for name, tree in _code()
        if name.startswith("tests/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("skip", "skipif", "xfail", "importorskip")
    }
    assert not excuses
