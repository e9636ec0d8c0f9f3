"""`linodmgr list` of sites that hang, talk without end, lie, or belong to somebody else."""

import grp
import json
import os
import pwd
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.eventually import eventually
from tests.real.daemon_fixture import LINODMGR, Daemon
from tests.real.worker_sites import site
from tests.terminal import on_a_terminal

NOTHING = '{"uses_linod": true, "jobs": []}'
HANGS = "echo $$ > pid; sleep 1000 & sleep 1000"
ANSWERS = f"echo '{NOTHING}'"
MEETS = "touch here; while [ ! -e ../{other}/here ]; do sleep 0.05; done; "


def shell_site(directory: Path, script: str, **keys: object) -> str:
    """Return a [[site]] whose Python is a shell script, run in the project directory."""
    python = directory / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ncd {directory}\n{script}\n")
    python.chmod(0o755)
    return site(directory, **keys)


def reasons(daemon: Daemon, *options: str) -> dict[str, str]:
    shown = json.loads(daemon.cli("list", "--json", *options, code=(0, 1)).stdout)
    return {problem["site"]: problem["reason"] for problem in shown["problems"]}


def is_ended(project: Path) -> bool:
    """Whether nothing runs in the session that wrote ``pid``; whom nobody has reaped does not run."""
    session = int((project / "pid").read_text())
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def test_a_site_that_hangs_is_ended_with_all_it_started(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(shell_site(runtime / "hangs", HANGS) + shell_site(runtime / "well", ANSWERS))

    assert reasons(daemon, "--timeout", "1") == {"hangs": "did not answer within 1 s"}
    eventually(lambda: is_ended(runtime / "hangs"), "all of it is ended")


def test_what_an_answer_leaves_running_is_ended(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(shell_site(runtime / "forks", f"echo $$ > pid; sleep 1000 & {ANSWERS}"))

    assert reasons(daemon) == {}
    eventually(lambda: is_ended(runtime / "forks"), "all of it is ended")


def test_talk_without_end_is_cut_short(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(
        shell_site(runtime / "talks", "yes")
        + shell_site(runtime / "mutters", "yes | head -n 1000000 >&2; exit 1")
    )

    assert reasons(daemon) == {"talks": "printed more than 8 MiB", "mutters": "exited with status 1: y"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'No such module' >&2; echo >&2; exit 3", "exited with status 3: No such module"),
        ("exit 3", "exited with status 3"),
        ("kill -KILL $$", "was killed by SIGKILL"),
        ("echo 7 scheduled jobs:", "printed something else than a job listing"),
        ("true", "printed something else than a job listing"),
        (r"printf '\033[31mred\033[0m\n' >&2; exit 1", "exited with status 1: \\x1b[31mred\\x1b[0m"),
    ],
)
def test_the_reason_is_told_in_words(daemon: Daemon, runtime: Path, script: str, reason: str) -> None:
    daemon.configure(shell_site(runtime / "one", script))

    assert reasons(daemon) == {"one": reason}


def test_sites_are_asked_side_by_side_but_not_more_than_allowed(daemon: Daemon, runtime: Path) -> None:
    sites = {name: MEETS.format(other=other) + ANSWERS for name, other in (("one", "two"), ("two", "one"))}
    daemon.configure("".join(shell_site(runtime / name, script) for name, script in sites.items()))

    alone = reasons(daemon, "--at-once", "1", "--timeout", "0.5")
    for name in sites:
        (runtime / name / "here").unlink()
    together = reasons(daemon, "--at-once", "2", "--timeout", "30")

    assert "one" in alone
    assert together == {}


def test_ctrl_c_leaves_nothing_running(daemon: Daemon, runtime: Path) -> None:
    daemon.configure("".join(shell_site(runtime / name, HANGS) for name in ("one", "two", "three")))
    asking = subprocess.Popen(
        [LINODMGR, "--config", daemon.config, "list", "--at-once", "2"], stdout=subprocess.DEVNULL
    )
    for name in ("one", "two"):
        eventually((runtime / name / "pid").exists, "it is being asked")

    asking.send_signal(signal.SIGINT)

    assert asking.wait(timeout=30) == 130
    eventually(lambda: is_ended(runtime / "one"), "all of it is ended")
    eventually(lambda: is_ended(runtime / "two"), "all of it is ended")
    assert not (runtime / "three" / "pid").exists()


def test_a_person_sees_how_far_it_is(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(shell_site(runtime / "one", ANSWERS))

    code, said = on_a_terminal(
        [LINODMGR, "list"], {**os.environ, "LINODMGR_CONFIG": str(daemon.config)}, columns=80
    )

    assert code == 0
    assert "asking sites" in said
    assert "no jobs" in said


@pytest.mark.root
def test_only_root_or_the_daemon_may_ask_a_site_of_another_user(
    daemon: Daemon, runtime: Path, user: pwd.struct_passwd, public_linodmgr: str
) -> None:
    ours, theirs = (
        shell_site(runtime / name, ANSWERS, user=owner)
        for name, owner in (("ours", user.pw_name), ("theirs", "root"))
    )
    daemon.configure(ours + theirs, daemon=f'group = "{grp.getgrgid(user.pw_gid).gr_name}"')
    command = [public_linodmgr, "--config", str(daemon.config), "list", "--json"]

    alone = shown_to(user, command)
    daemon.start()
    with_daemon = shown_to(user, command)

    assert [idle["site"] for idle in alone["idle"]] == ["ours"]
    assert alone["problems"] == [
        {"site": "theirs", "reason": "runs as root: only root or the daemon may list it"}
    ]
    assert [idle["site"] for idle in with_daemon["idle"]] == ["ours", "theirs"]
    assert with_daemon["problems"] == []


@pytest.mark.root
def test_who_may_not_read_the_configuration_asks_its_daemon(
    daemon: Daemon, runtime: Path, user: pwd.struct_passwd, public_linodmgr: str
) -> None:
    group = grp.getgrgid(user.pw_gid).gr_name
    daemon.configure(shell_site(runtime / "theirs", ANSWERS, user="root"), daemon=f'group = "{group}"')
    daemon.start()
    own = runtime / "own.toml"
    own.write_text(f'[daemon]\nruntime_dir = "{runtime}/run"\ninclude = ["secret.toml"]\n')
    (runtime / "secret.toml").touch(mode=0o600)

    shown = shown_to(user, [public_linodmgr, "--config", str(own), "list", "--json"])

    assert [idle["site"] for idle in shown["idle"]] == ["theirs"]


@pytest.mark.root
def test_a_site_that_takes_its_time_is_not_ended_by_the_daemon(
    daemon: Daemon, runtime: Path, user: pwd.struct_passwd, public_linodmgr: str
) -> None:
    slow = MEETS.format(other="quick") + "sleep 2.5; " + ANSWERS  # then it is looked at again
    sites = {"slow": slow, "quick": MEETS.format(other="slow") + ANSWERS}
    group = grp.getgrgid(user.pw_gid).gr_name
    daemon.configure(
        "".join(
            shell_site(runtime / name, script, user="root", enabled=False) for name, script in sites.items()
        ),
        daemon=f'group = "{group}"',
    )
    daemon.start()

    shown = shown_to(user, [public_linodmgr, "--config", str(daemon.config), "list", "--json"])

    assert shown["problems"] == []
    assert [idle["site"] for idle in shown["idle"]] == ["slow", "quick"]
    assert "left behind" not in daemon.said()


def shown_to(user: pwd.struct_passwd, command: list[str]) -> Any:
    """Return the JSON that ``command`` prints when ``user`` runs it."""
    asked = subprocess.run(
        command,
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        env={"HOME": user.pw_dir, "XDG_RUNTIME_DIR": user.pw_dir, "PATH": "/usr/bin:/bin"},
        cwd="/",
        stdout=subprocess.PIPE,
        check=False,
    )
    return json.loads(asked.stdout)


@pytest.mark.root
def test_a_runner_that_was_laid_out_under_a_narrow_umask_can_be_read_by_all(
    daemon: Daemon, runtime: Path, user: pwd.struct_passwd
) -> None:
    daemon.configure(
        shell_site(runtime / "theirs", 'cat "$1" >/dev/null && echo ' + f"'{NOTHING}'", user=user.pw_name)
    )

    before = os.umask(0o077)
    try:
        assert reasons(daemon) == {}
    finally:
        os.umask(before)


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1", "1e300"])
def test_a_time_limit_that_is_none_is_wrong_usage(daemon: Daemon, seconds: str) -> None:
    daemon.configure("")

    done = daemon.cli("list", f"--timeout={seconds}", code=2)

    assert done.stderr.startswith("linodmgr: invalid value for '--timeout': ")
