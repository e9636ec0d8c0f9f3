"""The directories of a daemon: nobody else can put anything into them, every site can read the runner."""

import os
import pwd
from pathlib import Path

import pytest

from linodmgr.directories import own, shut, unsafe
from linodmgr.errors import LinodmgrError
from linodmgr.launch import tidy
from tests.real.checked import project_on_disk, site_table, told_lines
from tests.real.daemon_fixture import Daemon


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_what_is_made_has_its_mode_whatever_the_umask(runtime: Path) -> None:
    before = os.umask(0o077)
    try:
        own(runtime / "a" / "b", 0o755)
        own(runtime / "a" / "b" / "c", 0o700)
    finally:
        os.umask(before)

    assert [mode(runtime / "a"), mode(runtime / "a/b"), mode(runtime / "a/b/c")] == [0o755, 0o755, 0o700]


def test_what_is_there_gets_the_bits_that_it_lacks(runtime: Path) -> None:
    (runtime / "a").mkdir(mode=0o700)

    own(runtime / "a", 0o755)

    assert mode(runtime / "a") == 0o755


def test_a_link_or_a_file_is_refused(runtime: Path) -> None:
    (runtime / "real").mkdir()
    (runtime / "link").symlink_to("real")
    (runtime / "file").touch()

    for name in ("link", "file"):
        with pytest.raises(LinodmgrError, match="is not a directory"):
            own(runtime / name, 0o755)


def test_a_directory_that_others_may_write_is_refused(runtime: Path) -> None:
    (runtime / "a").mkdir()
    (runtime / "a").chmod(0o777)

    with pytest.raises(LinodmgrError, match="others may write into it: chmod go-w"):
        own(runtime / "a", 0o755)


def test_a_directory_that_others_may_not_enter_is_found(runtime: Path) -> None:
    (runtime / "a" / "b").mkdir(parents=True)
    (runtime / "a").chmod(0o700)

    assert shut(runtime / "a" / "b" / "yet to be made") == str(runtime / "a")
    assert shut(runtime) == ""


@pytest.mark.root
def test_root_uses_no_directory_that_somebody_else_could_replace(
    daemon: Daemon, user: pwd.struct_passwd
) -> None:
    theirs = daemon.home / "theirs"
    theirs.mkdir()
    os.chown(theirs, user.pw_uid, user.pw_gid)
    (theirs / "run").mkdir()
    project_on_disk(daemon.home / "noi")
    daemon.configure(site_table(daemon.home / "noi"))
    daemon.config.write_text(daemon.config.read_text().replace(f"{daemon.home}/run", f"{theirs}/run"))

    words = (
        f"lies in {str(theirs)!r}, which belongs to the user with uid {user.pw_uid}: it must belong to root"
    )
    assert unsafe(theirs / "run" / "x") == words
    assert told_lines(daemon) == [f"daemon.runtime_dir: '{theirs}/run' {words}"]
    done = daemon.cli("start", code=1)
    assert f"cannot use directory '{theirs}/run': it {words}" in done.stderr
    assert not list((theirs / "run").iterdir())


@pytest.mark.root
def test_a_place_that_the_sites_users_cannot_enter_is_told(daemon: Daemon, user: pwd.struct_passwd) -> None:
    closed = daemon.home / "closed"
    closed.mkdir(mode=0o700)
    project_on_disk(daemon.home / "noi", user)
    daemon.configure(site_table(daemon.home / "noi", user.pw_name))
    daemon.config.write_text(daemon.config.read_text().replace(f"{daemon.home}/run", f"{closed}/run"))

    assert told_lines(daemon) == [
        f"daemon.runtime_dir: '{closed}' may not be entered by the sites' users: chmod a+x"
    ]


@pytest.mark.root
def test_a_place_that_nobody_else_has_to_enter_may_be_shut(daemon: Daemon) -> None:
    closed = daemon.home / "closed"
    closed.mkdir(mode=0o700)
    project_on_disk(daemon.home / "noi")
    daemon.configure(site_table(daemon.home / "noi"))
    daemon.config.write_text(daemon.config.read_text().replace(f"{daemon.home}/run", f"{closed}/run"))

    assert daemon.cli("check").stdout == "1 site, no problems\n"


def test_the_runner_of_an_earlier_version_stays_as_long_as_a_worker_uses_it(runtime: Path) -> None:
    for name in ("runner-00000001", "runner-00000002", "runner-of-somebody"):
        (runtime / name).mkdir()
        (runtime / name / "runner.py").touch()

    tidy(runtime, {str(runtime / "runner-00000001")})

    assert sorted(path.name for path in runtime.iterdir()) == ["runner-00000001", "runner-of-somebody"]
