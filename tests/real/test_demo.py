"""`linodmgr demo` from its first line to its last, and what it refuses."""

import os
import pwd
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import LINODMGR

STEADY = ("visits", "mails")
HOUSE = Path(__file__).parents[2]
WITHIN = 240  # seconds; a demo takes four on a machine that has nothing else to do


def demo(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LINODMGR, "demo", *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


@contextmanager
def staying(directory: Path, output: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a demo run until the end of the block, once it shows what its sites print."""
    with output.open("wb") as file:
        running = subprocess.Popen(
            [LINODMGR, "demo", directory], stdout=file, stderr=file, start_new_session=True
        )
    try:
        eventually(lambda: "$ linodmgr logs" in output.read_text(), "the demo stays", limit=60)
        yield running
    finally:
        running.terminate()
        running.wait(timeout=WITHIN)


def test_a_demo_shows_status_jobs_and_a_worker_that_comes_back(runtime: Path) -> None:
    shown = demo(runtime / "demo", "--no-stay")

    assert shown.returncode == 0, shown.stdout + shown.stderr
    commands = [line.split()[1:] for line in shown.stdout.splitlines() if line.startswith("$ ")]
    assert [words[:2] for words in commands] == [
        ["linodmgr", "start"],
        ["linodmgr", "status"],
        ["linodmgr", "list"],
        ["kill", "-KILL"],
        ["linodmgr", "status"],
        ["linodmgr", "stop"],
    ]
    for name in STEADY:
        assert f"{name}: RUNNING" in shown.stdout
    for name in (*STEADY, "moody"):
        assert f"{name}: STOPPED" in shown.stdout
    assert "count_visits" in shown.stdout
    killed = commands[3][2]
    back = re.search(r"visits is back: process (\d+) was there within \d+ ms", shown.stdout)
    assert back
    assert back[1] != killed
    assert re.search(rf"visits +RUNNING .* {back[1]} .* 1$", shown.stdout, re.MULTILINE)


def test_a_demo_stays_until_it_is_told_to_end_and_runs_jobs_meanwhile(runtime: Path) -> None:
    place, output = runtime / "demo", runtime / "output"
    with staying(place, output) as running:
        eventually(lambda: "visits so far" in output.read_text(), "visits are counted", limit=30)
        eventually(lambda: any((place / "mails" / "mails").glob("*")), "a mail is a file", limit=30)
        running.send_signal(signal.SIGINT)

        assert running.wait(timeout=WITHIN) == 0

    assert "the daemon has ended" in output.read_text()


def test_a_demo_goes_on_in_the_directory_of_an_earlier_one(runtime: Path) -> None:
    demo(runtime / "demo", "--no-stay")
    (runtime / "demo" / "visits" / "manage.py").unlink()

    assert demo(runtime / "demo", "--no-stay").returncode == 0


def test_two_demos_in_one_directory_do_not_mix(runtime: Path) -> None:
    with staying(runtime / "demo", runtime / "output"):
        refused = demo(runtime / "demo", "--no-stay")

    assert refused.returncode == 1
    assert refused.stderr == f"linodmgr: cannot use {runtime / 'demo'}: another demo runs in it\n"


def test_the_daemon_of_a_demo_that_was_killed_is_ended_by_the_next(runtime: Path) -> None:
    with staying(runtime / "demo", runtime / "output") as running:
        running.kill()
        running.wait()
        shown = demo(runtime / "demo", "--no-stay")

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count("the daemon has ended") == 2


def test_nothing_goes_on_if_nobody_reads(runtime: Path) -> None:
    with subprocess.Popen(
        [LINODMGR, "demo", runtime / "demo"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith(b"$ linodmgr status"):
                break
        running.stdout.close()

        assert running.wait(timeout=WITHIN) == 1
    assert not (runtime / "demo" / "run" / "control").exists()


def test_a_directory_with_something_else_in_it_is_left_alone(runtime: Path) -> None:
    (runtime / "letters").write_text("dear")

    refused = demo(runtime, "--no-stay")

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"linodmgr: cannot use {runtime}: it is not empty")
    assert [path.name for path in runtime.iterdir()] == ["letters"]


def test_a_directory_that_others_may_write_is_refused(runtime: Path) -> None:
    (runtime / "open").mkdir()
    (runtime / "open").chmod(0o777)

    refused = demo(runtime / "open", "--no-stay")

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"linodmgr: cannot use {runtime / 'open'}: ")
    assert not list((runtime / "open").iterdir())


def test_a_path_too_long_for_sockets_is_no_obstacle(runtime: Path) -> None:
    (runtime / "tmp").mkdir()

    shown = demo(runtime / ("long" * 25) / "demo", "--no-stay", TMPDIR=str(runtime / "tmp"))

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert not list((runtime / "tmp").iterdir())


def test_a_lino_site_that_cannot_be_made_tells_why(runtime: Path) -> None:
    refused = demo(runtime / "demo", "--no-stay", "--lino", PIP_NO_INDEX="1")

    log = runtime / "demo" / "lino-setup.log"
    assert refused.returncode == 1
    assert "No matching distribution" in refused.stderr
    assert refused.stderr.splitlines()[-1].startswith("linodmgr: cannot make the Lino site: ")
    assert str(log) in refused.stderr
    assert "No matching distribution" in log.read_text()


@pytest.mark.lino
def test_a_demo_may_have_a_real_lino_site(runtime: Path) -> None:
    shown = demo(runtime / "demo", "--no-stay", "--lino")

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "lino: RUNNING" in shown.stdout
    assert re.search(r"^lino +send_pending_emails_often +every 10 seconds ", shown.stdout, re.MULTILINE)


@pytest.mark.root
def test_an_ordinary_user_needs_no_root(runtime: Path, user: pwd.struct_passwd, public_linodmgr: str) -> None:
    # What a demo needs and no other command: Django and schedule.
    pip = Path(public_linodmgr).with_name("pip")
    subprocess.run([pip, "install", "--quiet", HOUSE], check=True)

    shown = subprocess.run(
        [public_linodmgr, "demo", "--no-stay"],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        env={"HOME": user.pw_dir, "PATH": "/usr/bin:/bin"},
        cwd=runtime,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.startswith(f"cannot use {runtime / 'linodmgr-demo'}: permission denied\n")
    assert (Path(user.pw_dir) / "linodmgr-demo" / "sites.toml").is_file()


@pytest.mark.root
def test_root_works_only_where_nobody_else_writes(runtime: Path, user: pwd.struct_passwd) -> None:
    refused = demo(Path(user.pw_dir) / "demo", "--no-stay")

    assert refused.returncode == 1
    assert "must belong to root" in refused.stderr
    assert not (Path(user.pw_dir) / "demo").exists()
