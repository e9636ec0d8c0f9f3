"""Who a site runs as: written, the owner, or nobody at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.accounts import SystemAccounts
from linodmgr.config import Host
from linodmgr.core.site import Identity
from linodmgr.identity import Caller
from tests.configs import FakeAccounts, as_me, fatal, loaded, told, write

BEFORE = Identity("me", 4001, 4001, (4301,), "/home/me", "/bin/sh")
ROOT_NEEDED = "must be 'me', because linodmgr does not run as root"


def as_root() -> Host:
    """Return a host where we are root, which the files of the test must agree with."""
    return Host(accounts=FakeAccounts(), caller=Caller(0, 0))


def _project(directory: Path, uid: int = 4001) -> Path:
    """Make a project with a virtualenv that belong to ``uid``."""
    for path in (directory, directory / "env", directory / "env" / "bin"):
        path.mkdir()
        os.chown(path, uid, uid)
    (directory / "manage.py").touch()
    os.chown(directory / "manage.py", uid, uid)
    return directory


def _user_problem(path: Path, host: Host | None = None) -> str:
    (problem,) = told(path, host or as_root())
    return problem.partition(".user: ")[2]


@pytest.fixture
def hanging() -> Iterator[FakeAccounts]:
    accounts = FakeAccounts(hangs=("me", "group www", "uid 4001"))
    yield accounts
    accounts.end.set()


@pytest.mark.root
def test_a_written_user_is_taken_with_group_and_supplementary_groups(tmp_path: Path) -> None:
    text = (
        '[[site]]\ndirectory = "a"\nuser = "other"\n[[site]]\ndirectory = "b"\nuser = "other"\ngroup = "www"'
    )
    a, b = loaded(write(tmp_path, text), as_root()).sites.values()

    assert a.identity == Identity("other", 4002, 4002, (4300,), "/home/other", "/bin/bash")
    assert b.identity == Identity("other", 4002, 4100, (4300,), "/home/other", "/bin/bash")


@pytest.mark.root
def test_the_owner_is_taken_where_everything_belongs_to_one_user(tmp_path: Path) -> None:
    _project(tmp_path / "noi")
    site = loaded(write(tmp_path, '[[site]]\ndirectory = "noi"'), as_root()).sites["noi"]

    assert site.problem == ""
    assert site.identity is not None
    assert site.identity.user == "me"


@pytest.mark.root
@pytest.mark.parametrize("what", ["manage.py", "env/bin", "."])
@pytest.mark.parametrize("uid", [0, 4002])
def test_mixed_owners_block_a_site_without_a_user(tmp_path: Path, what: str, uid: int) -> None:
    os.chown(_project(tmp_path / "noi") / what, uid, uid)

    problem = _user_problem(write(tmp_path, '[[site]]\ndirectory = "noi"'))
    assert problem.startswith("cannot be told: the directory belongs to uid")
    assert problem.endswith("say user = ...")


@pytest.mark.root
def test_a_project_of_root_blocks_a_site_without_a_user(tmp_path: Path) -> None:
    _project(tmp_path / "noi", uid=0)

    problem = _user_problem(write(tmp_path, '[[site]]\ndirectory = "noi"'))
    assert problem == "cannot be told, because the directory belongs to root: say user = ..."


@pytest.mark.root
def test_a_manage_py_that_is_a_link_blocks_a_site_without_a_user(tmp_path: Path) -> None:
    manage = _project(tmp_path / "noi") / "manage.py"
    manage.rename(tmp_path / "noi" / "real.py")
    manage.symlink_to("real.py")
    os.chown(manage, 4001, 4001, follow_symlinks=False)

    assert "which is a link" in _user_problem(write(tmp_path, '[[site]]\ndirectory = "noi"'))


@pytest.mark.root
@pytest.mark.parametrize("what", ["manage.py", "env/bin", "env", "."])
def test_what_is_missing_blocks_a_site_without_a_user(tmp_path: Path, what: str) -> None:
    project = _project(tmp_path / "noi")
    (project / what).rename(tmp_path / "away")

    problem = _user_problem(write(tmp_path, '[[site]]\ndirectory = "noi"'))
    assert problem.startswith("cannot be told from the owner of ")
    assert "no such file or directory: say user = ..., or make " in problem
    assert problem.endswith(" and say linodmgr reload")


@pytest.mark.root
def test_an_owner_without_a_name_blocks(tmp_path: Path) -> None:
    _project(tmp_path / "noi", uid=4999)

    problem = _user_problem(write(tmp_path, '[[site]]\ndirectory = "noi"'))
    assert problem == "cannot be told: the owner, uid 4999, has no name here: say user = ..."


@pytest.mark.root
def test_a_project_found_by_a_pattern_needs_a_user_in_defaults_or_a_site_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    _project(tmp_path / "srv" / "a")
    _project(tmp_path / "srv" / "b")
    path = write(tmp_path, 'projects = ["srv/*"]\n[[site]]\ndirectory = "srv/a"')

    assert told(path, as_root()) == [
        "site.b.user: must be given in [defaults], or in a [[site]] for this directory"
    ]


@pytest.mark.root
def test_root_runs_a_site_only_if_that_site_says_so(tmp_path: Path) -> None:
    site = '[[site]]\ndirectory = "/srv/noi"\n'

    root = loaded(write(tmp_path, f'{site}user = "root"'), as_root()).sites["noi"]
    assert root.identity is not None
    assert root.identity.uid == 0

    problems = fatal(write(tmp_path, f'[defaults]\nuser = "root"\n{site}'), as_root())
    assert problems[0] == "defaults.user: must not be root: say it for each site that is meant"
    assert _user_problem(write(tmp_path, f'{site}user = "toor"')).startswith("'toor' is root: ")
    assert _user_problem(write(tmp_path, f'[defaults]\nuser = "toor"\n{site}')).startswith("'toor' is root: ")


@pytest.mark.root
@pytest.mark.parametrize("name", ["nobody-here", "4001", "x\\u00e4"])
def test_an_unknown_user_blocks_only_its_site(tmp_path: Path, name: str) -> None:
    text = f'[[site]]\ndirectory = "/a"\nuser = "{name}"\n[[site]]\ndirectory = "/b"\nuser = "me"'
    path = write(tmp_path, text)
    (problem,) = told(path, as_root())

    assert problem.startswith("site.a.user: there is no user '")
    assert loaded(path, as_root()).sites["b"].problem == ""


@pytest.mark.root
def test_an_unknown_group_blocks_only_its_site(tmp_path: Path) -> None:
    path = write(tmp_path, '[[site]]\ndirectory = "/a"\nuser = "me"\ngroup = "nope"')

    assert told(path, as_root()) == ["site.a.group: there is no group 'nope'"]


def test_where_we_are_not_root_every_site_is_ours(tmp_path: Path) -> None:
    site = loaded(write(tmp_path, '[[site]]\ndirectory = "/no/such/noi"'), as_me()).sites["noi"]

    assert site.identity is not None
    assert (site.identity.user, site.identity.uid, site.identity.gid) == ("me", 4001, 4001)


def test_where_we_are_not_root_another_user_or_group_is_told(tmp_path: Path) -> None:
    (tmp_path / "noi").mkdir()
    us = os.geteuid()

    path = write(tmp_path, '[[site]]\ndirectory = "/a"\nuser = "other"')
    assert _user_problem(path, as_me()) == f"{ROOT_NEEDED}, got 'other'"
    path = write(tmp_path, '[[site]]\ndirectory = "noi"')
    assert _user_problem(path, as_me()) == f"{ROOT_NEEDED}, but the directory belongs to uid {us}"
    path = write(tmp_path, '[[site]]\ndirectory = "/a"\ngroup = "www"')
    assert told(path, as_me()) == [
        "site.a.group: must be our own group, because linodmgr does not run as root, got 'www'"
    ]


def test_who_has_no_name_runs_sites_all_the_same(tmp_path: Path) -> None:
    host = Host(accounts=FakeAccounts(), caller=Caller(4999, 4999))
    site = loaded(write(tmp_path, '[[site]]\ndirectory = "/no/such/noi"'), host).sites["noi"]

    assert site.identity is not None
    assert (site.identity.user, site.identity.uid) == ("4999", 4999)


@pytest.mark.root
def test_a_user_that_cannot_be_looked_up_in_time_is_remembered(tmp_path: Path, hanging: FakeAccounts) -> None:
    host = Host(accounts=hanging, limit=0.6, caller=Caller(0, 0))
    text = '[[site]]\ndirectory = "/a"\nuser = "me"\n[[site]]\ndirectory = "/b"\nuser = "other"'
    path = write(tmp_path, text)

    assert loaded(path, host, {"a": BEFORE}).sites["a"].identity == BEFORE
    assert loaded(path, host, {"elsewhere": BEFORE}).sites["a"].identity == BEFORE
    assert told(path, host) == ["site.a.user: user 'me' could not be looked up within 0.6 s"]


@pytest.mark.root
def test_an_owner_that_cannot_be_looked_up_in_time_is_remembered(
    tmp_path: Path, hanging: FakeAccounts
) -> None:
    host = Host(accounts=hanging, limit=0.3, caller=Caller(0, 0))
    _project(tmp_path / "noi")
    path = write(tmp_path, '[[site]]\ndirectory = "noi"')

    assert loaded(path, host, {"noi": BEFORE}).sites["noi"].identity == BEFORE
    assert _user_problem(path, host) == "the user with uid 4001 could not be looked up within 0.3 s"


@pytest.mark.root
def test_a_group_that_cannot_be_looked_up_in_time_is_remembered_for_its_site_only(
    tmp_path: Path, hanging: FakeAccounts
) -> None:
    host = Host(accounts=hanging, limit=0.3, caller=Caller(0, 0))
    path = write(tmp_path, '[[site]]\ndirectory = "/a"\nuser = "other"\ngroup = "www"')
    before = Identity("other", 4002, 4100, (), "/", "/bin/sh")

    assert loaded(path, host, {"a": before}).sites["a"].identity == before
    (problem,) = loaded(path, host, {"b": before}).problems
    assert problem.endswith("site.a.user: user 'other' could not be looked up within 0.3 s")


@pytest.mark.root
def test_a_control_group_that_cannot_be_looked_up_in_time_does_not_end_it(
    tmp_path: Path, hanging: FakeAccounts
) -> None:
    host = Host(accounts=hanging, limit=0.3, caller=Caller(0, 0))
    config = loaded(write(tmp_path, '[daemon]\ngroup = "www"'), host)

    assert (config.group, config.group_id) == ("www", None)
    assert config.problems[0].endswith(
        "group 'www' could not be looked up within 0.3 s: only root has control"
    )


@pytest.mark.root
def test_the_usual_group_has_control_if_there_is_one(tmp_path: Path) -> None:
    config = loaded(write(tmp_path, ""), as_root())

    assert (config.group, config.group_id) == ("linodmgr", 4200)


def test_the_accounts_of_this_host_are_asked() -> None:
    accounts = SystemAccounts()
    root = accounts.user("root")

    assert root is not None
    assert (root.uid, accounts.owner(0), accounts.group("root")) == (0, root, 0)
    assert 0 not in accounts.groups(("root", 0))
    assert (accounts.user("no such user"), accounts.owner(2**31), accounts.group("no such group")) == (
        None,
        None,
        None,
    )


def test_every_name_is_looked_up_once(tmp_path: Path) -> None:
    host = as_me()
    sites = "".join(f'[[site]]\ndirectory = "/srv/{number}"\n' for number in range(50))
    loaded(write(tmp_path, f'[defaults]\nuser = "me"\ngroup = "me"\n{sites}'), host)

    asked = vars(host.accounts)["asked"]
    assert sorted(asked) == ["group linodmgr", "group me", "me", "uid 4001"]
