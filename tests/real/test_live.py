"""Records of live workers: what was written is read, what others could have written is set aside."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from linodmgr.core.site import Identity, Policy, Site
from linodmgr.daemon.live import LIMIT, LiveRecords, LiveWorker

ONE = Site(
    name="one",
    directory="/srv/one",
    identity=Identity("anna", 1000, 1000, (4, 24), "/home/anna", "/bin/sh"),
    environment={"A": "ä\n"},
    policy=Policy(stop_timeout=3.0),
    jobs={"send mails": 60.0},
)
LIVE = LiveWorker(
    site=ONE,
    pid=100,
    started=5000,
    boot="a boot",
    place=(1, 2),
    digest="00c0ffee",
    cgroup="",
    mark="0123456789abcdef",
    runner="/run/runner",
    since=50.0,
)

Damage = Callable[[Path], object]


@pytest.fixture
def records(tmp_path: Path) -> LiveRecords:
    found = LiveRecords(tmp_path)
    found.write(LIVE)
    return found


@pytest.fixture
def path(tmp_path: Path, records: LiveRecords) -> Path:
    return tmp_path / "workers" / "one.json"


def test_what_was_written_is_read(tmp_path: Path, records: LiveRecords, path: Path) -> None:
    two = replace(LIVE, site=replace(ONE, name="two"), pid=101)
    records.write(two)

    assert LiveRecords(tmp_path).read() == ([LIVE, two], [])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_new_worker_takes_the_place_of_the_old_one(records: LiveRecords) -> None:
    new = replace(LIVE, pid=200)
    records.write(new)

    assert records.read() == ([new], [])


def test_how_a_worker_fares_is_noted_in_its_own_record_only(records: LiveRecords) -> None:
    records.note("one", 100, 60.0, True, 3, 2)
    records.note("one", 99, None, False, 0, 0)
    records.note("two", 100, None, False, 0, 0)

    fared = replace(LIVE, running=60.0, ready=True, restarts=3, early_deaths=2)
    assert records.read() == ([fared], [])


def test_who_has_ended_is_forgotten(records: LiveRecords) -> None:
    records.forget("one")
    records.forget("one")

    assert records.read() == ([], [])


def test_before_the_first_worker_there_is_nothing(tmp_path: Path) -> None:
    assert LiveRecords(tmp_path / "run").read() == ([], [])


def test_a_record_that_was_half_written_is_removed(records: LiveRecords, path: Path) -> None:
    half = path.with_suffix(".new")
    half.write_text("{")

    assert records.read() == ([LIVE], [])
    assert not half.exists()
    half.write_text("{")
    records.write(LIVE)
    assert records.read() == ([LIVE], [])


def set_field(**fields: object) -> Damage:
    return lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def set_site(**fields: object) -> Damage:
    def write(path: Path) -> None:
        told = json.loads(path.read_text())
        told["site"].update(fields)
        path.write_text(json.dumps(told))

    return write


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Damage] = {
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_text(path.read_text()[:-9]),
    "bytes": lambda path: path.write_bytes(b"\xff\0" * 10),
    "deep": lambda path: path.write_text('{"x":' + "[" * 100000),
    "long": lambda path: path.write_text(path.read_text() + " " * LIMIT),
    "list": lambda path: path.write_text("[]"),
    "no pid": set_field(pid=0),
    "negative pid": set_field(pid=-1),
    "huge pid": set_field(pid=1 << 40),
    "pid in words": set_field(pid="100"),
    "no start": set_field(started=0),
    "no site": set_field(site=None),
    "negative count": set_field(restarts=-1),
    "place": set_field(place=[1]),
    "no instant": set_field(since="today"),
    "other name": set_site(name="two"),
    "relative directory": set_site(directory="one"),
    "time to come": set_field(running=1e300),
    "signal": set_site(stop_signal=99999),
    "number": set_site(memory_max=1 << 60),
    "policy": set_site(policy={"stop_timeout": -1}),
    "link": link,
    "pipe": pipe,
    "directory": directory,
    "writable": lambda path: path.chmod(0o622),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_cannot_be_trusted_is_set_aside_once(records: LiveRecords, path: Path, damage: Damage) -> None:
    damage(path)

    found, (problem,) = records.read()

    assert found == []
    aside = path.parent / "damaged"
    assert problem.startswith(f"cannot use the record {path}: ")
    assert problem.endswith(f"; it is set aside in {aside}")
    assert "\n" not in problem
    assert os.path.lexists(aside / "one.json")
    assert records.read() == ([], [])
    records.write(LIVE)
    assert records.read() == ([LIVE], [])


@pytest.mark.root
def test_a_record_that_belongs_to_somebody_else_is_set_aside(records: LiveRecords, path: Path) -> None:
    os.chown(path, 12345, -1)

    found, (problem,) = records.read()

    assert found == []
    assert ": it belongs to uid 12345, not to us; " in problem


def test_noting_how_a_worker_with_a_damaged_record_fares_repairs_nothing(
    records: LiveRecords, path: Path
) -> None:
    path.write_text("{")

    records.note("one", 100, 60.0, True, 3, 2)

    assert path.read_text() == "{"


def test_records_that_cannot_be_read_at_all_are_told(tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("")

    found, (problem,) = LiveRecords(tmp_path).read()

    assert found == []
    assert problem.startswith("cannot read the records of live workers in ")
    with pytest.raises(OSError, match="Not a directory"):
        LiveRecords(tmp_path).write(LIVE)
