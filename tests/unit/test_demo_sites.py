"""What `linodmgr demo` writes can be read by those who have to."""

import ast
import doctest
from pathlib import Path

import pytest

from linodmgr.cli import demo_lino, demo_sites
from linodmgr.reading import parse


def test_the_examples_are_true() -> None:
    outcome = doctest.testmod(demo_sites)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("name", ["demo", "two words", 'a"b', "a\\b", "a'b#[c]", "ü", "line\nbreak"])
def test_sites_toml_holds_any_path(name: str) -> None:
    place = Path("/srv", name)

    text = demo_sites.daemon_toml(place, place / "run") + demo_sites.site_toml(place, place / "env", "joe")

    table = parse(text, place)
    assert table["daemon"]["runtime_dir"] == str(place / "run")
    assert [(site["directory"], site["user"]) for site in table["site"]] == [(str(place), "joe")]


def test_the_sites_are_python(tmp_path: Path) -> None:
    demo_sites.write_sites(tmp_path)

    files = [*tmp_path.rglob("*.py")]
    assert {path.relative_to(tmp_path).parts[0] for path in files} == set(demo_sites.SITES)
    for text in (demo_lino.SETTINGS, *(path.read_text() for path in files)):
        ast.parse(text)
