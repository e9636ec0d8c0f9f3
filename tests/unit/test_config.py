"""What a configuration says and how problems are told."""

import os
from pathlib import Path

import pytest

from linodmgr.core.site import Policy, Restart, Site
from tests.configs import fatal, loaded, told, write


def _site(path: Path) -> Site:
    config = loaded(path)
    assert config.problems == []
    (site,) = config.sites.values()
    return site


def test_a_directory_and_a_user_are_enough_and_everything_else_has_its_default(tmp_path: Path) -> None:
    site = _site(write(tmp_path, '[[site]]\ndirectory = "/srv/noi"\nuser = "me"'))

    assert (site.name, site.directory, site.umask, site.arguments) == ("noi", "/srv/noi", 0o002, ("linod",))
    assert site.policy == Policy()
    assert site.identity is not None
    assert (site.identity.user, site.identity.uid, site.identity.home) == ("me", 4001, "/home/me")


def test_a_site_says_everything_itself(tmp_path: Path) -> None:
    text = """
        [[site]]
        directory = "/srv/noi/"
        name = "Noi.1"
        user = "me"
        group = "me"
        venv = "/opt/venvs/noi"
        manage = "bin/manage.py"
        arguments = ["runworker", "linod_task_runner"]
        environment = { LANG = "de_BE.UTF-8", KEY = "two\\nlines" }
        environment_file = ".env"
        umask = "0027"
        enabled = false
        restart = "on-failure"
        start_timeout = "2h"
        settle = 0.5
        good_run = 10
        stop_timeout = "1.5min"
        backoff_max = "1d"
        stop_signal = "INT"
        nice = -5
        open_files = 4096
        memory_max = "512M"
        job_timeout = 0
        watchdog = "30s"
        log_max_bytes = 1000
        log_keep = 0
        log_time = false
        notify = "admin@example.com"
    """
    site = _site(write(tmp_path, text))

    assert site.identity is not None
    assert site == Site(
        name="Noi.1",
        directory="/srv/noi",
        identity=site.identity,
        venv="/opt/venvs/noi",
        manage="bin/manage.py",
        arguments=("runworker", "linod_task_runner"),
        environment={"LANG": "de_BE.UTF-8", "KEY": "two\nlines"},
        environment_file=".env",
        umask=0o027,
        enabled=False,
        policy=Policy(
            restart=Restart.ON_FAILURE,
            start_timeout=7200,
            settle=0.5,
            good_run=10,
            stop_timeout=90,
            backoff_max=86400,
        ),
        stop_signal=2,
        nice=-5,
        open_files=4096,
        memory_max=512 * 1024 * 1024,
        job_timeout=0,
        watchdog=30,
        log_max_bytes=1000,
        log_keep=0,
        log_time=False,
        notify="admin@example.com",
    )


def test_defaults_fill_what_a_site_leaves_out_and_environments_are_merged(tmp_path: Path) -> None:
    text = """
        [defaults]
        user = "me"
        umask = "077"
        environment = { A = "all", B = "all" }
        [[site]]
        directory = "/srv/one"
        umask = "002"
        environment = { B = "one" }
        [[site]]
        directory = "/srv/two"
    """
    one, two = loaded(write(tmp_path, text)).sites.values()

    assert (one.umask, one.environment) == (0o002, {"A": "all", "B": "one"})
    assert (two.umask, two.environment) == (0o077, {"A": "all", "B": "all"})


def test_every_problem_is_told_in_one_run_and_blocks_only_its_site(tmp_path: Path) -> None:
    text = """
        usre = 1
        [[site]]
        directory = "/srv/bad"
        usre = "me"
        umask = 22
        stop_timeout = -1
        environment = { "A B" = "x", C = 5 }
        [[site]]
        directory = "/srv/good"
        user = "me"
    """
    path = write(tmp_path, text)
    config = loaded(path)

    assert told(path) == [
        "unknown key 'usre'",
        "site.bad: unknown key 'usre', did you mean 'user'?",
        'site.bad.umask: must be octal digits like "002", got 22',
        "site.bad.stop_timeout: must be greater than 0, got -1",
        "site.bad.environment: must have names of letters, digits and _, got 'A B'",
        "site.bad.environment.C: must be a string, got 5",
    ]
    assert config.sites["good"].problem == ""
    assert config.sites["bad"].problem.startswith("unknown key 'usre', did you mean 'user'?; umask: must be")
    assert config.blame == {"bad": config.problems[1:], "good": []}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[site]]\nprojects = []", "it belongs at the top of the file, above all tables"),
        ("[daemon]\nprojects = []", "it belongs at the top of the file, above all tables"),
        ("[[site]]\ninclude = []", "it belongs in [daemon]"),
        ("starts_at_once = 2", "it belongs in [daemon]"),
        ("umask = '002'", "it belongs in [defaults] or [[site]]"),
        ("group = 'x'", "it belongs in [daemon] or in [defaults] or [[site]]"),
        ("[defaults]\ndirectory = '/srv'", "it belongs in [[site]]"),
        ("[[site]]\n[site.defaults]", "it belongs at the top level, as [defaults]"),
    ],
)
def test_a_key_that_slid_into_another_table_gets_a_hint(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path, text)
    lines = fatal(path) if text.startswith(("[daemon]", "[defaults]")) else told(path)

    assert lines[0].endswith(problem)


def test_problems_of_daemon_and_defaults_end_it_and_the_sites_are_told_too(tmp_path: Path) -> None:
    text = """
        [daemon]
        starts_at_once = -1
        runtime_dir = 5
        [defaults]
        user = "root"
        nice = 20
        [[site]]
        directory = "/srv/noi"
        user = "me"
        umask = "888"
    """
    assert fatal(write(tmp_path, text)) == [
        "daemon.starts_at_once: must be 0 or more, got -1",
        "daemon.runtime_dir: must be a string, got 5",
        "defaults.nice: must be between -20 and 19, got 20",
        "defaults.user: must not be root: say it for each site that is meant",
        "site.noi.umask: must be octal digits like \"002\", got '888'",
    ]


@pytest.mark.parametrize("name", ["daemon", "defaults"])
def test_a_table_that_is_something_else_ends_it(tmp_path: Path, name: str) -> None:
    assert fatal(write(tmp_path, f"{name} = 1")) == [f"{name}: must be a table written as [{name}], got 1"]


def test_a_site_in_single_brackets_is_blocked_and_told(tmp_path: Path) -> None:
    path = write(tmp_path, "[site]\ndirectory = '/srv/noi'\nuser = 'me'")

    assert told(path) == ["site.noi: must be written as [[site]], got [site]"]
    assert loaded(path).sites["noi"].problem


@pytest.mark.parametrize("header", ["[[sites]]", "[[sit]]", "[sites]"])
def test_a_site_with_a_misspelt_header_is_blocked_and_told(tmp_path: Path, header: str) -> None:
    path = write(tmp_path, f"{header}\ndirectory = '/srv/noi'\nuser = 'me'")

    assert told(path) == [f"site.noi: must be written as [[site]], got {header}"]
    assert loaded(path).sites["noi"].problem


@pytest.mark.parametrize(("header", "meant"), [("default", "defaults"), ("deamon", "daemon")])
def test_a_misspelt_table_for_all_sites_ends_it(tmp_path: Path, header: str, meant: str) -> None:
    problems = fatal(write(tmp_path, f"[{header}]\numask = '077'"))

    assert problems == [f"unknown key '{header}', did you mean '{meant}'?"]


def test_sites_that_are_no_tables_are_told(tmp_path: Path) -> None:
    assert told(write(tmp_path, "site = [1]")) == ["site: must be tables written as [[site]], got [1]"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[site]]\nname = noi", "line 2, column 8: is no value: a text needs quotes"),
        ("[[site]]\nname = 'noi", "line 2, column"),
        ("[daemon", "line 1, column 8: expected ']' at the end of a table declaration"),
        ("a = 1\nb = \x07", "line 2, column"),
        ("a = 1\na = 2\n", "line 2, column 6: sets what is set already"),
        ("projects = [\n", "line 2, column 1: a value or a closing bracket is missing"),
        ("umask =", "line 1, column 8: a value or a closing bracket is missing"),
        ("projects = ['a'\n[daemon]", "line 2, column 1: the closing bracket of a list is missing"),
        ("[defaults]\n[defaults]", "line 2, column 10: [defaults] stands twice"),
        ("[a.'b c']\n[a.'b c']", "line 2, column 9: [a.'b c'] stands twice"),
        ("[a.b]\n[a]\nb.c = 1", "line 3, column 8: [a.b] is written in two ways"),
        ("a = {}\na.b = 1", "line 2, column 8: [a] is closed: nothing can be added to it"),
        ("= 1", "line 1, column 1: is neither KEY = VALUE nor [TABLE]"),
        ("x = " + "[" * 5000, "is nested too deeply"),
        ("x = " + "9" * 5000, "holds a number that is too long"),
        ("# " + "x" * 1024 * 1024, "is larger than 1 MiB"),
    ],
)
def test_text_that_is_not_toml_is_told_with_line_and_column(tmp_path: Path, text: str, problem: str) -> None:
    (line,) = fatal(write(tmp_path, text))

    assert line.startswith(problem)


def test_text_that_is_not_utf_8_is_told_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "sites.toml"
    path.write_bytes(b"[daemon]\nx = '\xe9'\n")

    assert fatal(path) == ["line 2, column 6: is not UTF-8"]


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "sites.toml"
    path.write_bytes(b"\xef\xbb\xbf[daemon]\n")

    assert told(path) == []


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert fatal(tmp_path / "no.toml") == ["cannot be read: no such file or directory"]


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "sites.toml")

    assert fatal(tmp_path / "sites.toml") == ["is not a regular file"]


def test_the_daemon_table_moves_the_places(tmp_path: Path) -> None:
    path = write(tmp_path, '[daemon]\nruntime_dir = "run"\nstate_dir = "/srv/s"\nstarts_at_once = 7')
    config = loaded(path)

    assert config.places.runtime_dir == tmp_path / "run"
    assert config.places.state_dir == Path("/srv/s")
    assert config.starts_at_once == 7
    assert config.files == (path,)


def test_as_many_workers_start_at_once_as_there_are_cpus(tmp_path: Path) -> None:
    assert loaded(write(tmp_path, "")).starts_at_once == os.cpu_count()


def test_a_runtime_directory_in_which_no_socket_fits_is_told(tmp_path: Path) -> None:
    (line,) = fatal(write(tmp_path, f'[daemon]\nruntime_dir = "/{"x" * 100}"'))

    assert line.startswith("daemon.runtime_dir: must be shorter, because sockets lie in it, got '/xxx")


def test_an_unknown_control_group_ends_it(tmp_path: Path) -> None:
    assert fatal(write(tmp_path, '[daemon]\ngroup = "nope"')) == ["daemon.group: there is no group 'nope'"]


def test_a_control_group_of_others_ends_it_where_we_are_not_root(tmp_path: Path) -> None:
    (line,) = fatal(write(tmp_path, '[daemon]\ngroup = "www"'))

    assert line.startswith("daemon.group: must be a group of our own")
