"""``linodmgr history``: what it asks and shows."""

import json
from pathlib import Path

import pytest

from linodmgr.protocol import Done, History, PastExit, PastRun, Refused, Request, SiteHistory
from tests.fake_daemon import LINODMGR, configure, environment, fake_daemon, linodmgr
from tests.terminal import lines, on_a_terminal


def ran(second: int, outcome: str = "ok", **known: object) -> PastRun:
    at = f"2026-11-23T19:00:{second:02}Z"
    return PastRun("1.checkdata", "checkdata", at, outcome, **{"duration": 1.0, **known})  # type: ignore[arg-type]


NOI = SiteHistory(
    "noi",
    [
        ran(1),
        ran(3, "failed", error="ValueError: \x1b[2J", trace="Traceback\n  \x1b[2J here\n"),
        ran(5, "missed", duration=None),
    ],
    [PastExit("2026-11-23T19:00:04Z", "was killed by SIGKILL", 75.0, ("last words",))],
)
VOGA = SiteHistory("voga", [ran(2, asked=True), ran(6, caught_up=True)], [])


def told(*answers: str) -> list[str]:
    """Return site and outcome of each line of a table."""
    return [" ".join(line.split()[2:5]) for line in "".join(answers).splitlines()[1:]]


def test_what_happened_on_all_sites_is_in_one_table_with_the_newest_last(runtime: Path) -> None:
    with fake_daemon(runtime, NOI, VOGA, Done()) as requests:
        done = linodmgr(runtime, "history", TZ="Europe/Brussels")

    assert requests == [History(limit=50)]
    assert done.stdout.splitlines() == [
        "WHEN                 SITE  JOB        OUTCOME  DURATION  REASON",
        "2026-11-23 20:00:01  noi   checkdata  ok            1 s",
        "2026-11-23 20:00:02  voga  checkdata  ok            1 s  asked for",
        "2026-11-23 20:00:03  noi   checkdata  failed        1 s  ValueError: \\x1b[2J",
        "2026-11-23 20:00:04  noi   worker     exit         75 s  was killed by SIGKILL",
        "2026-11-23 20:00:05  noi   checkdata  missed          -",
        "2026-11-23 20:00:06  voga  checkdata  ok            1 s  caught up",
    ]
    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (["n*"], History(("n*",), limit=50)),
        (["noi", "checkdata", "--limit", "7"], History(("noi",), "checkdata", 7)),
        (["--limit", "0"], History()),
        (["--failed"], History()),
    ],
)
def test_it_asks_for_what_is_wanted(runtime: Path, arguments: list[str], request_: Request) -> None:
    with fake_daemon(runtime, Done()) as requests:
        done = linodmgr(runtime, "history", *arguments)

    assert requests == [request_]
    assert done.stdout.split() == ["WHEN", "SITE", "JOB", "OUTCOME", "DURATION", "REASON"]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--limit", "2"], ["noi checkdata missed", "voga checkdata ok"]),
        (["--failed"], ["noi checkdata failed", "noi worker exit", "noi checkdata missed"]),
        (["--failed", "--limit", "1"], ["noi checkdata missed"]),
    ],
)
def test_only_so_many_or_only_trouble(runtime: Path, arguments: list[str], shown: list[str]) -> None:
    with fake_daemon(runtime, NOI, VOGA, Done()):
        assert told(linodmgr(runtime, "history", *arguments).stdout) == shown


def test_of_one_job_only_runs_are_shown(runtime: Path) -> None:
    with fake_daemon(runtime, NOI, Done()):
        shown = told(linodmgr(runtime, "history", "noi", "checkdata").stdout)

    assert shown == ["noi checkdata ok", "noi checkdata failed", "noi checkdata missed"]


def test_traces_stand_below_and_are_harmless(runtime: Path) -> None:
    with fake_daemon(runtime, NOI, Done()):
        shown = linodmgr(runtime, "history", "--traces").stdout.splitlines()

    assert shown[3:5] == ["    Traceback", "      \\x1b[2J here"]
    assert shown[6] == "    last words"


def test_json_is_one_object_with_the_site_of_each(runtime: Path) -> None:
    with fake_daemon(runtime, NOI, VOGA, Done()):
        said = json.loads(linodmgr(runtime, "history", "--json").stdout)

    assert said.keys() == {"runs", "exits"}
    assert [run["site"] for run in said["runs"]] == ["noi", "voga", "noi", "noi", "voga"]
    assert said["runs"][0] == {
        "site": "noi",
        "job": "1.checkdata",
        "name": "checkdata",
        "started": "2026-11-23T19:00:01Z",
        "outcome": "ok",
        "duration": 1.0,
        "due": None,
        "error": "",
        "trace": "",
        "caught_up": False,
        "asked": False,
    }
    assert said["exits"] == [
        {
            "site": "noi",
            "at": "2026-11-23T19:00:04Z",
            "cause": "was killed by SIGKILL",
            "uptime": 75.0,
            "output": ["last words"],
        }
    ]


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_a_terminal_is_not_written_beyond_its_width(runtime: Path, columns: int) -> None:
    with fake_daemon(runtime, NOI, VOGA, Done()):
        code, said = on_a_terminal([LINODMGR, "history"], environment(runtime), columns)

    shown = lines(said)
    assert code == 0
    assert max(map(len, shown)) <= columns
    assert ("DURATION" in shown[0]) is (columns >= 100)
    assert "\x1b[31mfailed" in said


def test_an_unknown_site_ends_with_2(runtime: Path) -> None:
    with fake_daemon(runtime, Refused("cannot find site 'nio': see the configuration", 2)):
        done = linodmgr(runtime, "history", "nio")

    assert done.stderr == "linodmgr: cannot find site 'nio': see the configuration\n"
    assert done.returncode == 2


def test_without_a_daemon_there_is_no_history(runtime: Path) -> None:
    done = linodmgr(configure(runtime), "history", "--json")

    assert "is it running?" in done.stderr
    assert (done.stdout, done.returncode) == ("", 3)
