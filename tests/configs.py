"""Configurations for tests: written, loaded, and asked of accounts that exist nowhere."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from linodmgr.accounts import Person
from linodmgr.config import Config, Host, load
from linodmgr.core.site import Identity
from linodmgr.errors import ConfigError
from linodmgr.identity import Caller

ME = Person("me", 4001, 4001, "/home/me", "/bin/sh")
OTHER = Person("other", 4002, 4002, "/home/other", "/bin/bash")
ROOT = Person("root", 0, 0, "/root", "/bin/bash")
TOOR = Person("toor", 0, 0, "/root", "/bin/bash")


@dataclass
class FakeAccounts:
    """Four users and some groups; asking for what ``hangs`` takes until ``end`` is set."""

    hangs: tuple[str, ...] = ()
    asked: list[object] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)

    def user(self, name: str) -> Person | None:
        self._ask(name)
        return next((person for person in (ME, OTHER, ROOT, TOOR) if person.name == name), None)

    def owner(self, uid: int) -> Person | None:
        self._ask(f"uid {uid}")
        return next((person for person in (ME, OTHER, ROOT) if person.uid == uid), None)

    def group(self, name: str) -> int | None:
        self._ask(f"group {name}")
        return {"me": 4001, "www": 4100, "linodmgr": 4200}.get(name)

    def groups(self, member: tuple[str, int]) -> tuple[int, ...]:
        return (4300,)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.hangs:
            self.end.wait(30)


def as_me() -> Host:
    """Return a host where we are an ordinary user."""
    return Host(accounts=FakeAccounts(), caller=Caller(4001, 4001))


def write(directory: Path, text: str, name: str = "sites.toml") -> Path:
    """Return the path of a configuration with that text."""
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def loaded(path: Path, host: Host | None = None, known: Mapping[str, Identity] | None = None) -> Config:
    """Return the configuration as an ordinary user sees it, unless ``host`` says otherwise."""
    return load(path, known, host or as_me())


def told(path: Path, host: Host | None = None) -> list[str]:
    """Return the problems that do not end a daemon, without the file."""
    return [_without(path, line) for line in loaded(path, host).problems]


def fatal(path: Path, host: Host | None = None) -> list[str]:
    """Return the problems that end a daemon, without the file."""
    with pytest.raises(ConfigError) as caught:
        loaded(path, host)
    assert caught.value.exit_code == 78
    return [_without(path, line) for line in caught.value.problems]


def _without(path: Path, line: str) -> str:
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")
