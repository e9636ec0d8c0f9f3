"""Root refuses a configuration that others could change."""

import os
from pathlib import Path

import pytest

from linodmgr.config import Host
from linodmgr.identity import Caller
from tests.configs import FakeAccounts, as_me, fatal, told, write

pytestmark = pytest.mark.root

OTHER = 4002


def as_root() -> Host:
    return Host(accounts=FakeAccounts(), caller=Caller(0, 0))


def test_a_file_of_root_in_directories_of_root_is_safe(tmp_path: Path) -> None:
    assert told(write(tmp_path, ""), as_root()) == []


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, "")
    path.chmod(mode)

    assert fatal(path, as_root()) == ["others than root may write: chmod go-w"]
    assert told(path, as_me()) == []


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    os.chown(path, OTHER, OTHER)

    assert fatal(path, as_root()) == [f"belongs to the user with uid {OTHER}: it must belong to root"]


def test_a_file_in_a_directory_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "open", "")
    path.parent.chmod(0o777)

    assert fatal(path, as_root()) == [
        f"lies in '{tmp_path}/open', which others than root may write: chmod go-w"
    ]


def test_a_file_below_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / "theirs" / "deep"
    deep.mkdir(parents=True)
    os.chown(deep.parent, OTHER, OTHER)

    (problem,) = fatal(write(deep, ""), as_root())
    assert problem.startswith(f"lies in '{tmp_path}/theirs', which belongs to the user with uid {OTHER}")


def test_a_sticky_directory_is_safe(tmp_path: Path) -> None:
    path = write(tmp_path / "sticky", "")
    path.parent.chmod(0o1777)

    assert told(path, as_root()) == []


def test_a_link_is_followed_and_both_its_ends_are_checked(tmp_path: Path) -> None:
    target = write(tmp_path / "real", "")
    link = tmp_path / "sites.toml"
    link.symlink_to("real/../real/sites.toml")

    assert told(link, as_root()) == []
    target.parent.chmod(0o777)
    assert fatal(link, as_root()) == [
        f"lies in '{tmp_path}/real', which others than root may write: chmod go-w"
    ]


def test_a_link_that_another_user_made_is_refused(tmp_path: Path) -> None:
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    link = sticky / "sites.toml"
    link.symlink_to(write(tmp_path / "real", ""))
    os.chown(link, OTHER, OTHER, follow_symlinks=False)

    assert fatal(link, as_root()) == [f"is reached through a link that root did not make: '{link}'"]


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "sites.toml"
    link.symlink_to("sites.toml")

    (problem,) = fatal(link, as_root())
    assert problem.startswith("is reached through a link")


def test_an_unsafe_included_file_ends_it_and_the_rest_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, '[daemon]\ninclude = ["more.toml"]\n[[site]]\nname = "noi"')
    more = write(tmp_path, "", "more.toml")
    more.chmod(0o666)

    assert fatal(path, as_root()) == [
        f"{more}: others than root may write: chmod go-w",
        "site.noi.directory: must be given",
    ]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert fatal(tmp_path / "no" / "no.toml", as_root()) == ["cannot be read: no such file or directory"]
