"""Being told of an import changes nothing about it."""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from linodmgr.site.imports import Watcher

SOURCE = '"""A module."""\nimport sys\nloader_while_running = __spec__.loader\n\ndef work():\n    return 1\n'


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory on the search path; its modules are forgotten at the end."""
    before, finders = set(sys.modules), list(sys.meta_path)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    assert sys.meta_path == finders
    for name in set(sys.modules) - before:
        del sys.modules[name]
    importlib.invalidate_caches()


def watch(*names: str) -> list[ModuleType]:
    """Return the list into which the modules called ``names`` come once they were imported."""
    told: list[ModuleType] = []
    importlib.invalidate_caches()
    Watcher(dict.fromkeys(names, told.append)).begin()
    return told


def test_a_module_is_told_of_once_and_looks_as_ever(place: Path) -> None:
    (place / "watched_one.py").write_text(SOURCE)
    told = watch("watched_one")

    module = importlib.import_module("watched_one")

    assert told == [module]
    assert module.loader_while_running is module.__loader__
    assert type(module.__loader__) is SourceFileLoader
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert inspect.getsource(module.work) == "def work():\n    return 1\n"
    assert pkgutil.get_data("watched_one", "watched_one.py") == SOURCE.encode()


def test_a_module_that_is_looked_at_but_not_imported_looks_as_ever(place: Path) -> None:
    (place / "watched_two.py").write_text(SOURCE)
    told = watch("watched_two")

    spec = importlib.util.find_spec("watched_two")

    assert spec is not None
    loader: Any = spec.loader
    assert spec.origin == str(place / "watched_two.py")
    assert loader.get_source("watched_two") == SOURCE
    assert told == []
    importlib.import_module("watched_two")
    assert len(told) == 1


def test_a_package_and_its_modules_are_told_of_apart(place: Path) -> None:
    (place / "watched_three").mkdir()
    (place / "watched_three" / "__init__.py").write_text(SOURCE)
    (place / "watched_three" / "inner.py").write_text(SOURCE)
    told = watch("watched_three.inner", "watched_three")

    importlib.import_module("watched_three.inner")

    assert [module.__name__ for module in told] == ["watched_three", "watched_three.inner"]
    assert [found.name for found in pkgutil.iter_modules(told[0].__path__)] == ["inner"]


def test_an_import_that_fails_may_be_tried_again(place: Path) -> None:
    told = watch("watched_four")
    with pytest.raises(ModuleNotFoundError, match="watched_four"):
        importlib.import_module("watched_four")

    (place / "watched_four.py").write_text("raise RuntimeError")
    importlib.invalidate_caches()
    with pytest.raises(RuntimeError):
        importlib.import_module("watched_four")
    assert told == []

    (place / "watched_four.py").write_text(SOURCE + "# of another size\n")
    importlib.invalidate_caches()
    assert [importlib.import_module("watched_four")] == told
