"""``linodmgr check`` tells what is wrong with configuration, disk and processes, without a daemon."""

import json
import os
import re
import sys

import pytest

from linodmgr.cli import disk
from linodmgr.config import load
from tests.real.checked import US, foreign_linod, project_on_disk, site_table, told_lines
from tests.real.daemon_fixture import Daemon


def test_where_nothing_is_wrong_it_says_so(daemon: Daemon) -> None:
    daemon.configure(
        site_table(project_on_disk(daemon.home / "noi")) + site_table(project_on_disk(daemon.home / "voga"))
    )

    assert daemon.cli("check").stdout == "2 sites, no problems\n"


def test_a_site_whose_user_is_its_owner_is_in_order(daemon: Daemon) -> None:
    project_on_disk(daemon.home / "noi")
    daemon.configure('[[site]]\ndirectory = "noi"\n' + ('user = "root"' if US == "root" else ""))

    assert daemon.cli("check").stdout == "1 site, no problems\n"


def test_problems_of_text_and_disk_are_told_in_one_run(daemon: Daemon) -> None:
    for name in ("bad", "bare"):
        project_on_disk(daemon.home / name)
    (daemon.home / "bare" / "manage.py").unlink()
    (daemon.home / "bare" / "env" / "bin" / "python").unlink()
    daemon.configure(
        site_table(daemon.home / "bad", more="usre = 1")
        + site_table(daemon.home / "bare", more='environment_file = "my.env"')
        + site_table(daemon.home / "gone")
        + site_table(daemon.config)
    )
    done = daemon.cli("check", code=78)

    home = daemon.home
    assert done.stdout.splitlines() == [
        f"{daemon.config}: site.bad: unknown key 'usre', did you mean 'user'?",
        f"{daemon.config}: site.bare.venv: '{home}/bare/env/bin/python' does not exist",
        f"{daemon.config}: site.bare.manage: '{home}/bare/manage.py' does not exist",
        f"{daemon.config}: site.bare.environment_file: '{home}/bare/my.env' does not exist",
        f"{daemon.config}: site.gone.directory: '{home}/gone' does not exist",
        f"{daemon.config}: site.sites.toml.directory: '{daemon.config}' is not a directory",
    ]
    assert done.stderr == "4 sites, 6 problems\n"


def test_a_link_to_nothing_and_what_is_no_file_are_told(daemon: Daemon) -> None:
    project = project_on_disk(daemon.home / "noi")
    python, manage = project / "env/bin/python", project / "manage.py"
    python.unlink()
    python.symlink_to("/no/such/python")
    manage.unlink()
    manage.mkdir()
    daemon.configure(site_table(project))

    assert told_lines(daemon) == [
        f"site.noi.venv: '{python}' is a link to nothing, or to what user {US!r} may not see",
        f"site.noi.manage: '{manage}' is not a file that user {US!r} may read",
    ]


@pytest.mark.parametrize("broken", ["#!/no/such/python\n", "#!/bin/false\n"])
def test_a_python_that_cannot_run_is_told(daemon: Daemon, broken: str) -> None:
    python = project_on_disk(daemon.home / "noi") / "env/bin/python"
    python.unlink()
    python.write_text(broken)
    python.chmod(0o755)
    daemon.configure(site_table(python.parents[2]))

    assert told_lines(daemon) == [f"site.noi.venv: '{python}' cannot be run"]


def test_only_the_sites_that_are_named_are_looked_at(daemon: Daemon) -> None:
    daemon.configure(site_table(project_on_disk(daemon.home / "noi")) + site_table(daemon.home / "gone"))

    assert daemon.cli("check", "n*").stdout == "1 site, no problems\n"
    assert len(told_lines(daemon, "gone")) == 1
    unknown = daemon.cli("check", "nope", "noi", code=2)
    assert unknown.stderr == "linodmgr: cannot find site 'nope': see the configuration\n"


def test_json_names_the_site_of_each_problem(daemon: Daemon) -> None:
    daemon.configure("", daemon="[defaults]\n[[site]]\nname = 5\n[other]")
    problems = json.loads(daemon.cli("check", "--json", code=78).stdout)["problems"]
    assert [problem["site"] for problem in problems] == [None, "site_1", "site_1"]

    daemon.configure(site_table(daemon.home / "gone"))
    told = json.loads(daemon.cli("check", "--json", code=78).stdout)
    assert told.pop("uncontained") in (True, False)  # as this host is
    assert told == {
        "sites": ["gone"],
        "problems": [
            {
                "site": "gone",
                "reason": f"{daemon.config}: site.gone.directory: '{daemon.home}/gone' does not exist",
            }
        ],
        "unseen": [],
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x", "line 5, column 2: expected '=' after"),
        ("[defaults]\nnice = 99", "defaults.nice: must be between"),
    ],
)
def test_what_would_end_the_daemon_is_told(daemon: Daemon, text: str, line: str) -> None:
    daemon.configure("", daemon=text)

    (problem,) = told_lines(daemon)
    assert problem.startswith(line)


def test_a_missing_configuration_is_told(daemon: Daemon) -> None:
    assert told_lines(daemon) == ["cannot be read: no such file or directory"]


def test_places_that_cannot_be_used_are_told(daemon: Daemon) -> None:
    daemon.configure("")
    (daemon.home / "log").touch()
    (daemon.home / "run").symlink_to("nowhere")
    (daemon.home / "state").mkdir()
    (daemon.home / "state").chmod(0o777)

    assert told_lines(daemon) == [
        f"daemon.runtime_dir: '{daemon.home}/run' is a link to nowhere",
        f"daemon.state_dir: '{daemon.home}/state' may be written by others: chmod go-w",
        f"daemon.log_dir: '{daemon.home}/log' is not a directory",
    ]


def test_another_linod_is_named_with_who_started_it(daemon: Daemon) -> None:
    project = project_on_disk(daemon.home / "noi")
    daemon.configure(site_table(project))
    with foreign_linod(project) as stranger:
        (line,) = told_lines(daemon)

    prefix = "site.noi: another linod runs for this directory: "
    assert line.startswith(f"{prefix}pid {stranger} ({sys.executable} manage.py linod), since ")
    assert re.search(rf", started by .* \(pid {os.getpid()}\)$", line)


def test_a_directory_that_does_not_answer_is_told(daemon: Daemon) -> None:
    daemon.configure(site_table(project_on_disk(daemon.home / "noi")))
    site = load(daemon.config).sites["noi"]

    assert disk.look(site, time_limit=-1.0) == [
        disk.Fault("directory", f"'{site.directory}' could not be looked at within -1 s")
    ]
