"""Whatever stands in the file: problems are told, one line each, and nothing else goes wrong."""

import tempfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from linodmgr import keys
from linodmgr.config import Config, load
from linodmgr.errors import ConfigError
from tests.configs import as_me

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(
        ["me", "other", "root", "/srv/noi", "30s", "5min", "512M", "022", "TERM", "always", "*", "~"]
    ),
)
VALUES = st.recursive(
    st.one_of(
        TEXTS,
        TEXTS,
        st.booleans(),
        st.integers(),
        st.integers(-3, 100),
        st.floats(),
        st.dates(),
        st.datetimes(),
        st.times(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)


def _table(known: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.one_of(*[st.sampled_from(known)] * 4, TEXTS), VALUES, max_size=8)


FILES = st.one_of(
    _table((*keys.TABLES, *keys.TOP)),
    st.fixed_dictionaries(
        {},
        optional={
            "projects": st.lists(TEXTS, max_size=2),
            "daemon": _table(tuple(key for key in keys.DAEMON if key != "include")),
            "defaults": _table(tuple(keys.DEFAULTS)),
            "site": st.lists(_table(tuple(keys.SITE)), max_size=4),
        },
    ),
)


def toml(value: object) -> str:
    """Return ``value`` as it can be written behind ``key =``."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)


def _load(text: str) -> Config | None:
    """Return the configuration, None if it could not be loaded; all that is told must be lines."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "sites.toml")
        path.write_text(text)
        config, problems = None, []
        try:
            config = load(path, host=as_me())
        except ConfigError as error:
            problems = error.problems
    assert (config is None) == bool(problems)
    for line in config.problems if config else problems:
        assert line.startswith(f"{path}: ")
        assert len(line.splitlines()) == 1
    return config


@given(file=FILES)
@settings(deadline=None, max_examples=150)
def test_any_table_is_loaded_or_told_in_lines(file: dict[str, Any]) -> None:
    config = _load("".join(f"{toml(key)} = {toml(value)}\n" for key, value in file.items()))

    for name, site in config.sites.items() if config else ():
        assert site.name == name
        assert keys.SITE["name"](name) == name
        assert bool(site.problem) == bool(config and config.blame[name])
        assert site.problem or (
            site.identity and site.identity.uid == 4001 and site.directory.startswith("/")
        )
        assert len(site.problem.splitlines()) <= 1


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_any_text_is_loaded_or_told_in_lines(text: str) -> None:
    _load(text)
