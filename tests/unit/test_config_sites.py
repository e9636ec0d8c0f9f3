"""How sites are found, named and compared: [[site]], projects, include."""

import os
from pathlib import Path

import pytest

from tests.configs import as_me, fatal, loaded, told, write

USER = '[defaults]\nuser = "me"\n'


def _project(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "manage.py").touch()
    return directory


def test_a_relative_directory_starts_at_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, f'{USER}[[site]]\ndirectory = "srv/../noi/"')

    assert loaded(path).sites["noi"].directory == str(tmp_path / "noi")


def test_a_site_without_a_directory_is_named_by_its_name_or_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, f'{USER}[[site]]\nname = "noi"\n[[site]]\numask = "0"')

    assert told(path) == ["site.noi.directory: must be given", "site[2].directory: must be given"]
    assert list(loaded(path).sites) == ["noi", "site_2"]


@pytest.mark.parametrize("name", ["", ".x", "-x", "a/b", "a b", "ä", "x" * 65, "../x"])
def test_a_name_that_is_no_file_name_is_told_and_another_one_given(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, f'{USER}[[site]]\ndirectory = "/srv/noi"\nname = "{name}"')
    (site,) = loaded(path).sites.values()

    assert site.problem.startswith("name: must ")
    assert "/" not in site.name
    assert site.name[0].isalnum()
    assert len(told(path)) == 1


def test_a_directory_whose_name_is_no_site_name_needs_a_name(tmp_path: Path) -> None:
    (problem,) = told(write(tmp_path, f'{USER}[[site]]\ndirectory = "/srv/my site"'))

    assert problem.startswith("site.my site.name: must begin with")
    assert problem.endswith("got 'my site': say name = ...")


def test_the_later_of_two_sites_with_one_name_is_blocked(tmp_path: Path) -> None:
    text = f'{USER}[[site]]\ndirectory = "/srv/a/noi"\n[[site]]\ndirectory = "/srv/b/noi"\n'
    path = write(tmp_path, text + '[[site]]\ndirectory = "/srv/noi-2"')
    sites = loaded(path).sites

    assert told(path) == ["site.noi.name: 'noi' is already the name of the site in '/srv/a/noi'"]
    assert [(site.name, bool(site.problem)) for site in sites.values()] == [
        ("noi", False),
        ("noi-3", True),
        ("noi-2", False),
    ]


@pytest.mark.parametrize("names", [("noi", "link"), ("link", "noi")])
def test_of_two_sites_with_one_directory_that_is_blocked_whose_is_a_link(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    project = _project(tmp_path / "noi")
    (tmp_path / "link").symlink_to(project)
    text = USER + "".join(f'[[site]]\ndirectory = "{name}"\n' for name in names)
    path = write(tmp_path, text)

    assert told(path) == [f"site.link.directory: '{tmp_path}/link' is already the directory of site.noi"]


def test_two_sites_with_one_directory_that_is_not_there_are_told_too(tmp_path: Path) -> None:
    path = write(
        tmp_path, f'{USER}[[site]]\ndirectory = "/no/a"\n[[site]]\ndirectory = "/no/./a"\nname = "b"'
    )

    assert told(path) == ["site.b.directory: '/no/a' is already the directory of site.a"]


def test_projects_takes_every_directory_with_a_manage_py(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        _project(tmp_path / "srv" / name)
    (tmp_path / "srv" / "empty").mkdir()
    (tmp_path / "srv" / "file").touch()
    sites = loaded(write(tmp_path, f'projects = ["srv/*", "{tmp_path}/s*/a"]\n{USER}')).sites

    assert [(site.name, site.directory) for site in sites.values()] == [
        ("a", str(tmp_path / "srv/a")),
        ("b", str(tmp_path / "srv/b")),
    ]
    assert not any(site.problem for site in sites.values())


def test_a_site_with_the_same_directory_refines_a_project(tmp_path: Path) -> None:
    _project(tmp_path / "srv" / "a")
    (tmp_path / "link").symlink_to(tmp_path / "srv")
    text = f'projects = ["srv/*"]\n{USER}[[site]]\ndirectory = "link/a"\nname = "first"\numask = "077"'
    sites = loaded(write(tmp_path, text)).sites

    assert [(site.name, site.umask, site.problem) for site in sites.values()] == [("first", 0o077, "")]


def test_a_project_that_was_found_gives_way_to_a_written_name(tmp_path: Path) -> None:
    _project(tmp_path / "srv" / "noi")
    text = f'projects = ["srv/*"]\n{USER}[[site]]\ndirectory = "/opt/noi"'
    path = write(tmp_path, text)

    assert told(path) == ["site.noi.name: 'noi' is already the name of the site in '/opt/noi'"]
    assert loaded(path).sites["noi"].directory == "/opt/noi"


def test_a_pattern_that_finds_nothing_is_told(tmp_path: Path) -> None:
    assert told(write(tmp_path, 'projects = ["srv/*"]')) == [
        "projects: no directory with a manage.py matches 'srv/*'"
    ]
    assert told(write(tmp_path, 'projects = "srv/*"')) == [
        "projects: must be a list of paths, * and ? allowed, got 'srv/*'"
    ]


def test_sites_in_included_files_come_after_those_of_the_main_file(tmp_path: Path) -> None:
    path = write(
        tmp_path, f'[daemon]\ninclude = ["sites.d/*.toml", "*.toml"]\n{USER}[[site]]\ndirectory = "z"'
    )
    b = write(tmp_path / "sites.d", '[[site]]\ndirectory = "../b"', "b.toml")
    a = write(tmp_path / "sites.d", '[[site]]\ndirectory = "/srv/a"\nusre = 1', "a.toml")
    config = loaded(path)

    assert [(site.name, site.directory) for site in config.sites.values()] == [
        ("z", str(tmp_path / "z")),
        ("a", "/srv/a"),
        ("b", str(tmp_path / "b")),
    ]
    assert config.files == (path, a, b)
    assert config.problems == [f"{a}: site.a: unknown key 'usre', did you mean 'user'?"]
    assert config.origin == {"z": str(path), "a": str(a), "b": str(b)}


def test_an_included_file_holds_sites_only(tmp_path: Path) -> None:
    path = write(tmp_path, '[daemon]\ninclude = ["more.toml"]')
    more = write(tmp_path, "projects = []\n[defaults]\n[daemon]\n[sub]", "more.toml")

    only = "an included file holds [[site]] only"
    assert loaded(path).problems == [
        f"{more}: unknown key 'projects', it belongs at the top of the file, above all tables; {only}",
        f"{more}: unknown key 'defaults', it belongs at the top level, as [defaults]; {only}",
        f"{more}: unknown key 'daemon', it belongs at the top level, as [daemon]; {only}",
        f"{more}: unknown key 'sub'",
    ]


def test_an_included_file_that_is_not_toml_ends_it_and_the_rest_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, '[daemon]\ninclude = ["a.toml", "b.toml", "no.toml"]\n[[site]]\nnme = 1')
    write(tmp_path, "x", "a.toml")
    write(tmp_path, '[[site]]\ndirectory = "/srv/b"\nuser = 1', "b.toml")

    assert fatal(path) == [
        "daemon.include: there is no file 'no.toml'",
        f"{tmp_path}/a.toml: line 1, column 2: expected '=' after a key in a key/value pair",
        "site[1]: unknown key 'nme', did you mean 'name'?",
        "site[1].directory: must be given",
        f"{tmp_path}/b.toml: site.b.user: must be a string, got 1",
    ]


def test_an_include_directory_may_be_empty(tmp_path: Path) -> None:
    assert told(write(tmp_path, '[daemon]\ninclude = ["sites.d/*.toml"]')) == []


def test_a_site_that_is_not_there_yet_can_be_loaded(tmp_path: Path) -> None:
    config = loaded(write(tmp_path, '[[site]]\ndirectory = "/no/such/site"'), as_me())

    assert config.problems == []
    assert config.sites["site"].identity is not None


def test_brackets_in_the_path_of_the_file_are_no_pattern(tmp_path: Path) -> None:
    odd = tmp_path / "[x]"
    _project(odd / "a")
    path = write(odd, f'projects = ["*"]\n{USER}')

    assert list(loaded(path).sites) == ["a"]
    assert os.path.basename(odd) == "[x]"
