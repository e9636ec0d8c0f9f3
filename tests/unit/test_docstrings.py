"""Every example in a docstring is run."""

import doctest
import importlib
import pkgutil

import pytest

import linodmgr

APP = "linodmgr.linod."  # its examples need Django's settings: see test_linod_jobs.py
FOUND = (module.name for module in pkgutil.walk_packages(linodmgr.__path__, "linodmgr."))
MODULES = sorted(name for name in FOUND if not name.startswith(APP))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
