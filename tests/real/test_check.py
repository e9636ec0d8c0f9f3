"""``linodmgr check`` tells what is wrong with configuration, disk and processes, without a daemon."""

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from linodmgr.cli import check, disk
from linodmgr.config import load
from tests.eventually import eventually
from tests.real.daemon_fixture import Daemon
from tests.real.django_sites import make_site

EVERY_HOUR = """\
from linodmgr.linod import schedule_often

@schedule_often(every=3600)
def work():
    pass
"""
US = pwd.getpwuid(os.geteuid()).pw_name


def _project(directory: Path, owner: pwd.struct_passwd | None = None) -> Path:
    """Make what a site needs on the disk."""
    (directory / "env" / "bin").mkdir(parents=True)
    (directory / "env" / "bin" / "python").symlink_to("/bin/sh")
    (directory / "manage.py").write_text("import signal\nsignal.pause()\n")
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o055)
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    return directory


def _site(directory: Path, user: str = US, more: str = "") -> str:
    return f'[[site]]\ndirectory = "{directory}"\nuser = "{user}"\n{more}\n'


def _lines(daemon: Daemon, *arguments: str) -> list[str]:
    """Return what check tells, without the file."""
    told = daemon.cli("check", *arguments, code=78).stdout.splitlines()
    return [line.removeprefix(f"{daemon.config}: ") for line in told]


def test_where_nothing_is_wrong_it_says_so(daemon: Daemon) -> None:
    daemon.configure(_site(_project(daemon.home / "noi")) + _site(_project(daemon.home / "voga")))

    assert daemon.cli("check").stdout == "2 sites, no problems\n"


def test_a_site_whose_user_is_its_owner_is_in_order(daemon: Daemon) -> None:
    _project(daemon.home / "noi")
    daemon.configure('[[site]]\ndirectory = "noi"\n' + ('user = "root"' if US == "root" else ""))

    assert daemon.cli("check").stdout == "1 site, no problems\n"


def test_problems_of_text_and_disk_are_told_in_one_run(daemon: Daemon) -> None:
    for name in ("bad", "bare"):
        _project(daemon.home / name)
    (daemon.home / "bare" / "manage.py").unlink()
    (daemon.home / "bare" / "env" / "bin" / "python").unlink()
    daemon.configure(
        _site(daemon.home / "bad", more="usre = 1")
        + _site(daemon.home / "bare", more='environment_file = "my.env"')
        + _site(daemon.home / "gone")
        + _site(daemon.config)
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
    project = _project(daemon.home / "noi")
    python, manage = project / "env/bin/python", project / "manage.py"
    python.unlink()
    python.symlink_to("/no/such/python")
    manage.unlink()
    manage.mkdir()
    daemon.configure(_site(project))

    assert _lines(daemon) == [
        f"site.noi.venv: '{python}' is a link to nothing, or to what user {US!r} may not see",
        f"site.noi.manage: '{manage}' is not a file that user {US!r} may read",
    ]


@pytest.mark.root
def test_each_site_is_looked_at_as_its_own_user(
    daemon: Daemon, user: pwd.struct_passwd, other_user: pwd.struct_passwd
) -> None:
    _project(daemon.home / "good", user)
    locked = _project(daemon.home / "locked", other_user)
    (locked / "manage.py").chmod(0o600)
    (locked / "env" / "bin" / "python").unlink()
    (locked / "env" / "bin" / "python").write_text("")
    closed = _project(daemon.home / "closed" / "inner", user)
    closed.parent.chmod(0o700)
    os.chown(closed.parent, other_user.pw_uid, other_user.pw_gid)
    own = _project(daemon.home / "own", other_user)
    own.chmod(0o700)
    me, other = user.pw_name, other_user.pw_name
    daemon.configure(
        _site(daemon.home / "good", me)
        + _site(locked, me)
        + _site(closed, me)
        + _site(own, me)
        + _site(own.with_name("unknown"), "no-such-user")
    )

    assert _lines(daemon) == [
        f"site.locked.venv: '{locked}/env/bin/python' is not a program that user {me!r} may run",
        f"site.locked.manage: '{locked}/manage.py' is not a file that user {me!r} may read",
        f"site.inner.directory: '{closed}' is behind a directory that user {me!r} may not enter",
        f"site.own.directory: '{own}' may not be entered by user {me!r}",
        "site.unknown.user: there is no user 'no-such-user'",
    ]

    daemon.configure(_site(own, other) + _site(daemon.home / "good", me))
    assert daemon.cli("check").stdout == "2 sites, no problems\n"


def test_only_the_sites_that_are_named_are_looked_at(daemon: Daemon) -> None:
    daemon.configure(_site(_project(daemon.home / "noi")) + _site(daemon.home / "gone"))

    assert daemon.cli("check", "n*").stdout == "1 site, no problems\n"
    assert len(_lines(daemon, "gone")) == 1
    unknown = daemon.cli("check", "nope", "noi", code=2)
    assert unknown.stderr == "linodmgr: cannot find site 'nope': see the configuration\n"


def test_json_names_the_site_of_each_problem(daemon: Daemon) -> None:
    daemon.configure("", daemon="[defaults]\n[[site]]\nname = 5\n[other]")
    problems = json.loads(daemon.cli("check", "--json", code=78).stdout)["problems"]
    assert [problem["site"] for problem in problems] == [None, "site_1", "site_1"]

    daemon.configure(_site(daemon.home / "gone"))
    assert json.loads(daemon.cli("check", "--json", code=78).stdout) == {
        "sites": ["gone"],
        "problems": [
            {
                "site": "gone",
                "reason": f"{daemon.config}: site.gone.directory: '{daemon.home}/gone' does not exist",
            }
        ],
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

    (problem,) = _lines(daemon)
    assert problem.startswith(line)


def test_a_missing_configuration_is_told(daemon: Daemon) -> None:
    assert _lines(daemon) == ["cannot be read: no such file or directory"]


def test_places_that_cannot_be_used_are_told(daemon: Daemon) -> None:
    daemon.configure("")
    (daemon.home / "log").touch()
    (daemon.home / "run").symlink_to("nowhere")
    (daemon.home / "state").mkdir()
    (daemon.home / "state").chmod(0o777)

    assert _lines(daemon) == [
        f"daemon.runtime_dir: '{daemon.home}/run' is a link to nowhere",
        f"daemon.state_dir: '{daemon.home}/state' may be written by others: chmod go-w",
        f"daemon.log_dir: '{daemon.home}/log' is not a directory",
    ]


@contextmanager
def _linod(directory: Path, fds: Sequence[int] = ()) -> Iterator[int]:
    """Yield the pid of a linod that linodmgr did not start."""
    with subprocess.Popen([sys.executable, "manage.py", "linod"], cwd=directory, pass_fds=fds) as process:
        try:
            eventually(Path(f"/proc/{process.pid}/cmdline").read_bytes, "it runs")
            yield process.pid
        finally:
            process.kill()


def test_another_linod_is_named_with_who_started_it(daemon: Daemon) -> None:
    project = _project(daemon.home / "noi")
    daemon.configure(_site(project))
    with _linod(project) as stranger:
        (line,) = _lines(daemon)

    prefix = "site.noi: another linod runs for this directory: "
    assert line.startswith(f"{prefix}pid {stranger} ({sys.executable} manage.py linod), started by ")
    assert line.endswith(f" (pid {os.getpid()})")


def test_a_worker_of_ours_is_not_in_the_way(daemon: Daemon) -> None:
    project = _project(daemon.home / "noi")
    daemon.configure(_site(project))
    config = load(daemon.config)
    config = replace(config, places=replace(config.places, lock_dir=daemon.home))
    status = project.stat()
    lock = os.open(daemon.home / f"{status.st_dev}-{status.st_ino}", os.O_CREAT | os.O_RDWR)
    with _linod(project, (lock,)):
        os.close(lock)
        assert check.examine(config).problems == []


def test_the_workers_of_a_running_daemon_are_not_in_the_way(daemon: Daemon) -> None:
    project = make_site(daemon.home / "noi", EVERY_HOUR)
    daemon.configure(_site(project))
    daemon.start().until("noi", "RUNNING")

    assert daemon.cli("check").stdout == "1 site, no problems\n"


def test_a_directory_that_does_not_answer_is_told(daemon: Daemon) -> None:
    daemon.configure(_site(_project(daemon.home / "noi")))
    site = load(daemon.config).sites["noi"]

    assert disk.look(site, time_limit=-1.0) == [
        disk.Fault("directory", f"'{site.directory}' could not be looked at within -1 s")
    ]
