"""What ``linodmgr status`` prints in a pipe, on terminals, as JSON, and how it ends."""

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from linodmgr.protocol import Done, Refused, SiteStatus, Snapshot, Status
from tests.fake_daemon import LINODMGR, configure, environment, fake_daemon, linodmgr
from tests.terminal import lines, on_a_terminal

LONG_AGO = (
    (datetime.now(timezone.utc) - timedelta(days=3, hours=4, minutes=1)).isoformat().replace("+00:00", "Z")
)
WHY = "exited with status 1 after 0.2 s: no such table: linod_systemtask, next try in 4 s"


def site(name: str = "noi", state: str = "RUNNING", goal: str = "UP", **more: object) -> SiteStatus:
    known = {
        "pid": 1234,
        "since": "2026-11-23T18:45:01Z",
        "uptime": 273660.0,
        "restarts": 0,
        "reason": None,
        "user": "www-data",
        "rss": 112_400_000,
        "cpu": 12.34,
    }
    shown = {"name": name, "directory": f"/srv/{name}", "state": state, "goal": goal}
    return msgspec.convert({**shown, **known, **more}, SiteStatus)


def dead(name: str, state: str, goal: str = "UP", reason: str = "", failing: bool = False) -> SiteStatus:
    return site(
        name,
        state,
        goal,
        pid=None,
        since=LONG_AGO,
        uptime=None,
        restarts=7,
        reason=reason or None,
        rss=None,
        cpu=None,
        failing=failing,
    )


FLEET = [site(), dead("voga", "BACKOFF", reason=WHY, failing=True), dead("amici", "STOPPED", goal="DOWN")]


def snapshot(*sites: SiteStatus) -> Snapshot:
    return Snapshot("0.1.0", 42, list(sites))


def test_a_pipe_gets_plain_columns(runtime: Path) -> None:
    with fake_daemon(runtime, snapshot(*FLEET), Done()):
        done = linodmgr(runtime, "status")

    assert done.stdout.splitlines() == [
        "NAME   STATE                FOR   PID  MEMORY     CPU  RESTARTS  REASON",
        "noi    RUNNING          3 d 4 h  1234  112 MB  12.3 s         0",
        f"voga   BACKOFF FAILING  3 d 4 h     -       -       -         7  {WHY}",
        "amici  STOPPED          3 d 4 h     -       -       -         7",
    ]
    assert (done.stderr, done.returncode) == ("", 3)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_a_terminal_is_not_written_beyond_its_width(runtime: Path, columns: int) -> None:
    with fake_daemon(runtime, snapshot(*FLEET), Done()):
        code, said = on_a_terminal([LINODMGR, "status"], environment(runtime), columns)

    shown = lines(said)
    assert code == 3
    assert max(map(len, shown)) <= columns
    assert "\x1b[1;31mBACKOFF FAILING" in said
    assert ("PID" in shown[0]) is (columns >= 80)
    reason = " ".join(line[shown[0].index("REASON") :] for line in shown[2:-1])
    assert reason.replace(" ", "") == WHY.replace(" ", "")


def test_json_is_one_object_with_the_promised_fields(runtime: Path) -> None:
    with fake_daemon(runtime, snapshot(*FLEET), Done()):
        done = linodmgr(runtime, "status", "--json")

    said = json.loads(done.stdout)
    assert list(said) == ["version", "pid", "sites"]
    assert (said["version"], said["pid"]) == ("0.1.0", 42)
    assert said["sites"][0] == {
        "name": "noi",
        "directory": "/srv/noi",
        "state": "RUNNING",
        "goal": "UP",
        "pid": 1234,
        "since": "2026-11-23T18:45:01Z",
        "uptime": 273660.0,
        "restarts": 0,
        "reason": None,
        "user": "www-data",
        "rss": 112400000,
        "cpu": 12.34,
        "failing": False,
        "attention": [],
        "lost_output": 0,
    }
    assert said["sites"][1]["pid"] is None
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("state", "goal", "code"),
    [
        ("RUNNING", "UP", 0),
        ("IDLE", "UP", 0),
        ("STOPPED", "DOWN", 0),
        ("STARTING", "UP", 3),
        ("QUEUED", "UP", 3),
        ("BACKOFF", "UP", 3),
        ("BLOCKED", "UP", 3),
        ("STOPPED", "UP", 3),
        ("RUNNING", "DOWN", 3),
        ("STOPPING", "DOWN", 3),
    ],
)
def test_it_ends_with_0_only_if_all_is_as_wanted(runtime: Path, state: str, goal: str, code: int) -> None:
    with fake_daemon(runtime, snapshot(site(), site("voga", state, goal)), Done()):
        assert linodmgr(runtime, "status").returncode == code


NEEDY = site(attention=["checkdata FAILED: \x1b[2JValueError", "send MISSED", "index is late"])


def test_jobs_that_need_attention_stand_where_there_is_no_other_reason(runtime: Path) -> None:
    needy = dead("voga", "BACKOFF", reason=WHY)
    with fake_daemon(runtime, snapshot(NEEDY, msgspec.structs.replace(needy, attention=["x"])), Done()):
        done = linodmgr(runtime, "status")

    first, second = done.stdout.splitlines()[1:]
    assert first.endswith("checkdata FAILED: \\x1b[2JValueError (+2 more)")
    assert second.endswith(WHY)


@pytest.mark.parametrize(("options", "code"), [([], 0), (["--strict"], 3)])
def test_jobs_that_need_attention_count_only_if_asked_for(
    runtime: Path, options: list[str], code: int
) -> None:
    with fake_daemon(runtime, snapshot(site(), NEEDY), Done()):
        done = linodmgr(runtime, "status", "--json", *options)

    assert json.loads(done.stdout)["sites"][1]["attention"] == NEEDY.attention
    assert done.returncode == code


def test_without_attention_strict_is_content(runtime: Path) -> None:
    with fake_daemon(runtime, snapshot(site()), Done()):
        assert linodmgr(runtime, "status", "--strict").returncode == 0


def test_names_and_patterns_are_the_daemons_business(runtime: Path) -> None:
    with fake_daemon(runtime, snapshot(), Done()) as requests:
        done = linodmgr(runtime, "status", "noi", "pro*")

    assert requests == [Status(("noi", "pro*"))]
    assert done.returncode == 0


def test_an_unknown_site_ends_with_2(runtime: Path) -> None:
    with fake_daemon(runtime, Refused("cannot find site 'nio': see linodmgr status", 2)):
        done = linodmgr(runtime, "status", "nio", "--json")

    assert done.stderr == "linodmgr: cannot find site 'nio': see linodmgr status\n"
    assert (done.stdout, done.returncode) == ("", 2)


def test_json_without_a_daemon_is_still_json(runtime: Path) -> None:
    done = linodmgr(configure(runtime), "status", "--json")

    assert json.loads(done.stdout) == {"version": None, "pid": None, "sites": []}
    assert done.stderr.startswith("linodmgr: cannot reach the daemon at")
    assert done.returncode == 3


def test_status_does_not_import_what_takes_long(runtime: Path) -> None:
    program = """
import sys
from linodmgr.cli.main import main
try:
    main(["status"])
except SystemExit:
    print(*sorted(sys.modules))
"""
    with fake_daemon(runtime, snapshot(*FLEET), Done()):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment(runtime),
            capture_output=True,
            text=True,
            check=True,
        )

    loaded = done.stdout.splitlines()[-1].split()
    assert "linodmgr.cli.status" in loaded
    assert not {"rich", "psutil", "asyncio", "django", "linodmgr.config", "subprocess", "tempfile"} & set(
        loaded
    )
