"""`linodmgr list` on real Django sites; no daemon runs."""

import json
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site, python_for_all
from tests.real.worker_sites import site

JOBS = """\
from pathlib import Path

from linodmgr.linod import schedule_daily, schedule_often

print("the site's own words")

@schedule_often(every=1)
def send_pending_emails_often():
    Path(__file__).with_name("ran").touch()

@schedule_daily(at="20:00")
def checkdata():
    pass
"""
NONE = "# no jobs"
TELLS_WHO = """\
import os
from pathlib import Path

Path(os.environ["HOME"], "asked").write_text(str(os.getuid()))
"""


@pytest.fixture
def sites(daemon: Daemon, runtime: Path) -> Daemon:
    """Three sites that can be asked and one that cannot."""
    make_site(runtime / "busy", JOBS)
    make_site(runtime / "lazy", NONE)
    make_site(runtime / "off", JOBS, use_linod=False)
    make_site(runtime / "broken", "import nothing_that_exists")
    daemon.configure("".join(site(runtime / name) for name in ("busy", "lazy", "off", "broken")))
    return daemon


def test_all_sites_are_in_one_table_and_one_that_fails_is_a_row(sites: Daemon) -> None:
    heading, *rows = sites.cli("list", code=1).stdout.splitlines()

    titles = " ".join(heading.split())
    assert titles == "SITE JOB SCHEDULE LAST RUN OUTCOME DURATION NEXT RUN STATE"
    assert [row.split()[0] for row in rows] == ["busy", "busy", "lazy", "off", "broken"]
    assert "send_pending_emails_often  every second" in rows[0]
    assert "every day at 20:00" in rows[1]
    assert rows[1].endswith("ok")
    assert rows[2].endswith("no jobs")
    assert rows[3].endswith("does not use linod")
    assert "nothing_that_exists" in rows[4]


def test_listing_runs_no_job(sites: Daemon, runtime: Path) -> None:
    sites.cli("list", "busy")

    assert not (runtime / "busy" / "tasks" / "ran").exists()


def test_the_json_is_one_object(sites: Daemon) -> None:
    shown = json.loads(sites.cli("list", "--json", code=1).stdout)

    assert shown.keys() == {"jobs", "problems", "idle"}
    assert [(job["site"], job["name"], job["at"]) for job in shown["jobs"]] == [
        ("busy", "send_pending_emails_often", None),
        ("busy", "checkdata", "20:00:00"),
    ]
    assert all(job["next_run"].endswith("Z") and job["last_run"] is None for job in shown["jobs"])
    assert [problem["site"] for problem in shown["problems"]] == ["broken"]
    assert shown["idle"] == [
        {"site": "lazy", "reason": "no jobs"},
        {"site": "off", "reason": "does not use linod"},
    ]


def test_the_plain_form_is_what_the_site_itself_prints(sites: Daemon, runtime: Path) -> None:
    own = {
        name: subprocess.run(
            [runtime / name / "env" / "bin" / "python", "manage.py", "linod", "--list"],
            cwd=runtime / name,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.removeprefix("the site's own words\n")
        for name in ("busy", "lazy", "off")
    }

    for name, text in own.items():
        assert without_seconds(sites.cli("list", name, "--plain").stdout) == without_seconds(text)
    assert own["lazy"] == "This site has no scheduled jobs.\n"
    assert own["off"] == "This site does not use linod.\n"


def without_seconds(text: str) -> str:
    """Return ``text`` with the next run of the job that runs each second left out: time goes by."""
    lines = text.splitlines(keepends=True)
    return "".join(line.partition(" (last run")[0] if "Every 1 second " in line else line for line in lines)


def test_the_plain_form_of_several_sites_has_their_names(sites: Daemon) -> None:
    done = sites.cli("list", "--plain", "[lo]*", "broken", code=1)

    assert done.stdout == (
        "lazy:\nThis site has no scheduled jobs.\n\noff:\nThis site does not use linod.\n\nbroken:\n"
    )
    assert done.stderr.startswith("linodmgr: cannot list broken: ")


def test_names_may_be_patterns_and_an_unknown_one_is_wrong_usage(sites: Daemon) -> None:
    assert "busy" not in sites.cli("list", "l*", "off").stdout
    assert sites.cli("list", "l*", "nobody", "x*", code=2).stderr.startswith(
        "linodmgr: cannot find site 'nobody', 'x*'"
    )


def test_a_site_with_a_problem_in_the_configuration_is_a_row(sites: Daemon, runtime: Path) -> None:
    sites.configure(site(runtime / "busy", umask=22) + site(runtime / "off"))

    blocked, other = sites.cli("list", code=1).stdout.splitlines()[1:]

    assert "umask" in blocked
    assert "does not use linod" in other


def test_a_site_without_virtualenv_is_a_row(sites: Daemon, runtime: Path) -> None:
    (runtime / "busy" / "env" / "bin" / "python").unlink()

    assert "no virtualenv: " in sites.cli("list", "busy", code=1).stdout


@pytest.mark.root
def test_each_site_is_asked_as_its_user(daemon: Daemon, runtime: Path, user: pwd.struct_passwd) -> None:
    project = make_site(runtime / "theirs", TELLS_WHO, python=python_for_all(runtime))
    os.chown(project, user.pw_uid, user.pw_gid)
    daemon.configure(site(project, user=user.pw_name))

    daemon.cli("list")

    assert (Path(user.pw_dir) / "asked").read_text() == str(user.pw_uid)
