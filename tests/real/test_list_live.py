"""``linodmgr list`` of sites whose workers have told their jobs: what it shows, asks, and leaves out."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from linodmgr.protocol import Answer, Done, Jobs, JobStatus, Refused, SiteJobs
from tests.fake_daemon import LINODMGR, configure, environment, fake_daemon, linodmgr
from tests.terminal import lines, on_a_terminal

HOSTILE = "ValueError: \x1b[2J not \u202e a number, which is told in more words than fit into one line"


def at(**after: float) -> str:
    instant = datetime.now(timezone.utc) + timedelta(**after)
    return instant.isoformat().replace("+00:00", "Z")


def job(name: str, state: str = "ok", **known: object) -> JobStatus:
    text = f"Every 1 day at 20:00:00 do {name}()"
    return JobStatus(f"1.{name}", name, "every day at 20:00", state, text=text, **known)  # type: ignore[arg-type]


def noi() -> SiteJobs:
    """A site whose jobs ran when they should."""
    return SiteJobs(
        "noi",
        True,
        [
            job("checkdata", last_run=at(hours=-5.01), next_run=at(hours=19.02), outcome="ok", duration=12.3),
            job("send", "FAILED", outcome="failed", duration=0.012, error=HOSTILE),
            job("index", "running", running_since=at(minutes=-3.01), last_run=at(minutes=-3.01)),
        ],
        as_of=at(seconds=-1),
        zone="Europe/Brussels",
    )


def voga() -> SiteJobs:
    """A site whose job is late."""
    return SiteJobs("voga", True, [job("lazy", "late", next_run=at(minutes=-5.01))])


def test_a_pipe_gets_plain_columns_and_the_daemon_is_asked_once(runtime: Path) -> None:
    with fake_daemon(runtime, noi(), voga(), Done()) as requests:
        done = linodmgr(runtime, "list", "n*", "voga")

    assert requests == [Jobs(("n*", "voga"))]
    words = [line.split("  ") for line in done.stdout.splitlines()]
    assert [[word.strip() for word in line if word.strip()] for line in words] == [
        ["SITE", "JOB", "SCHEDULE", "LAST RUN", "OUTCOME", "DURATION", "NEXT RUN", "STATE"],
        ["noi", "checkdata", "every day at 20:00", "5 h ago", "ok", "12 s", "in 19 h 1 min", "ok"],
        ["noi", "send", "every day at 20:00", "-", "failed", "12 ms", "-", "FAILED: " + escaped(HOSTILE)],
        ["noi", "index", "every day at 20:00", "3 min ago", "-", "-", "-", "running for 3 min"],
        ["voga", "lazy", "every day at 20:00", "-", "-", "-", "due for 5 min", "late"],
    ]
    assert (done.stderr, done.returncode) == ("", 0)


def escaped(text: str) -> str:
    return text.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (200, "SITE JOB SCHEDULE LAST RUN OUTCOME DURATION NEXT RUN STATE"),
        (100, "SITE JOB SCHEDULE LAST RUN DURATION NEXT RUN STATE"),
        (60, "SITE JOB NEXT RUN STATE"),
        (40, "SITE JOB STATE"),
    ],
)
@pytest.mark.parametrize("several", [1, 60])
def test_a_narrow_terminal_loses_columns_in_order(
    runtime: Path, columns: int, titles: str, several: int
) -> None:
    with fake_daemon(runtime, noi(), *(_named(n) for n in range(several - 1)), Done()):
        code, said = on_a_terminal([LINODMGR, "list"], environment(runtime), columns)

    shown = lines(said)
    assert code == 0
    assert shown[0].split() == titles.split()
    assert max(map(len, shown)) <= columns
    assert "\x1b[2J" not in said
    assert "\x1b[31mFAILED" in said
    told = " ".join(line[shown[0].index("STATE") :] for line in shown[1:])
    assert escaped(HOSTILE).replace(" ", "") in told.replace(" ", "")


def _named(number: int) -> SiteJobs:
    return SiteJobs(f"s{number}", True, [job("lazy"), job("busy")])


def test_json_is_one_object(runtime: Path) -> None:
    noi_site = noi()
    with fake_daemon(runtime, noi_site, SiteJobs("idle", True, []), Done()):
        said = json.loads(linodmgr(runtime, "list", "--json").stdout)

    assert [(one["name"], one["state"], one["live"]) for one in said["jobs"]] == [
        ("checkdata", "ok", True),
        ("send", "FAILED", True),
        ("index", "running", True),
    ]
    assert said["jobs"][0]["last_run"] == noi_site.jobs[0].last_run
    assert said["idle"] == [{"site": "idle", "reason": "no jobs"}]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--failed"], ["send"]),
        (["--late"], ["lazy"]),
        (["--running", "--failed"], ["send", "index"]),
        (["--sort", "next"], ["lazy", "checkdata", "send", "index"]),
        (["--sort", "last"], ["index", "checkdata", "send", "lazy"]),
        (["--sort", "duration"], ["checkdata", "send", "index", "lazy"]),
        (["--sort", "duration", "--failed", "--late"], ["send", "lazy"]),
    ],
)
def test_jobs_are_chosen_and_sorted(runtime: Path, options: list[str], names: list[str]) -> None:
    with fake_daemon(runtime, noi(), voga(), Done()):
        done = linodmgr(runtime, "list", *options)

    assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == names


def test_the_well_known_text_has_the_true_instants_in_the_zone_of_the_site(runtime: Path) -> None:
    known = job("checksummaries", last_run="2026-11-22T19:00:00Z", next_run="2026-11-23T19:00:00Z")
    site = SiteJobs("noi", True, [known, job("never_yet")], zone="Europe/Brussels")
    with fake_daemon(runtime, site, Done()):
        done = linodmgr(runtime, "list", "noi", "--plain")

    assert done.stdout.splitlines() == [
        "2 scheduled jobs:",
        f"[1] {known.text} (last run: 2026-11-22 20:00:00, next run: 2026-11-23 20:00:00)",
        "[2] Every 1 day at 20:00:00 do never_yet() (last run: [never], next run: [never])",
    ]


def shell_sites(home: Path, *names: str) -> None:
    """Configure sites whose Python prints one job and leaves a trace."""
    listed = {"id": "1.checkdata", "name": "checkdata", "schedule": "every day at 20:00", "text": "T"}
    said = json.dumps({"uses_linod": True, "kind": "schedule", "jobs": [listed]})
    with (configure(home) / "sites.toml").open("a") as config:
        for name in names:
            python = home / name / "env" / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.write_text(f"#!/bin/sh\ntouch {home}/{name}/asked\ncat <<'END'\n{said}\nEND\n")
            python.chmod(0o755)
            (home / name / "manage.py").touch()
            user = 'user = "root"\n' if os.geteuid() == 0 else ""
            config.write(f'[[site]]\ndirectory = "{home}/{name}"\n{user}')


def test_a_site_without_worker_is_asked_and_the_past_of_its_jobs_is_added(runtime: Path) -> None:
    past = job("checkdata", "FAILED", last_run=at(hours=-2), outcome="failed", error="ValueError: x")
    with fake_daemon(runtime, noi(), SiteJobs("down", False, [past], reason="BACKOFF"), Done()):
        shell_sites(runtime, "noi", "down")
        said = json.loads(linodmgr(runtime, "list", "--json").stdout)

    assert [one["site"] for one in said["jobs"]] == ["noi", "noi", "noi", "down"]
    asked = said["jobs"][-1]
    assert (asked["state"], asked["error"], asked["live"]) == ("FAILED", "ValueError: x", False)
    assert asked["last_run"] == past.last_run
    assert (runtime / "down" / "asked").exists()
    assert not (runtime / "noi" / "asked").exists()


@pytest.mark.parametrize(
    "answer",
    [Refused("cannot understand the request: Invalid value 'jobs'"), b"what?\n", b""],
    ids=["earlier version", "other version", "hangs up"],
)
def test_a_daemon_that_knows_nothing_of_jobs_does_not_keep_sites_from_being_asked(
    runtime: Path, answer: Answer | bytes
) -> None:
    with fake_daemon(runtime, answer):
        shell_sites(runtime, "noi")
        done = linodmgr(runtime, "list")

    assert (runtime / "noi" / "asked").exists()
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["noi", "checkdata"]]
    assert done.returncode == 0


def test_a_site_that_was_taken_out_of_the_configuration_is_a_row(runtime: Path) -> None:
    with fake_daemon(runtime, noi(), SiteJobs("gone", False, []), Done()):
        shell_sites(runtime, "noi")
        done = linodmgr(runtime, "list")

    assert done.stdout.splitlines()[-1].endswith("is not in the configuration any more")
    assert done.returncode == 1


def test_a_configuration_that_cannot_be_read_hides_no_live_site(runtime: Path) -> None:
    with fake_daemon(runtime, noi(), SiteJobs("down", False, []), Done()):
        with (runtime / "sites.toml").open("a") as config:
            config.write("[[site]]\ndirectory = /srv")
        done = linodmgr(runtime, "list")

    rows = done.stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["noi", "noi", "noi", "down"]
    assert "sites.toml" in rows[-1]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--plain", "--json"], "cannot print both --json and --plain"),
        (["--plain", "--failed"], "cannot filter, sort or watch the text of --plain"),
        (["--plain", "--sort", "next"], "cannot filter, sort or watch the text of --plain"),
        (["--plain", "--watch"], "cannot filter, sort or watch the text of --plain"),
        (["--watch", "--timeout", "3"], "cannot ask sites while watching"),
        (["--sort", "size"], "'linodmgr list --help'"),
    ],
)
def test_options_that_mean_nothing_together_are_wrong_usage(
    runtime: Path, options: list[str], words: str
) -> None:
    done = linodmgr(configure(runtime), "list", *options)

    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (done.stdout, done.returncode) == ("", 2)


def test_live_sites_cost_no_import_that_takes_long(runtime: Path) -> None:
    program = """
import sys
from linodmgr.cli.main import main
try:
    main(["list"])
except SystemExit:
    print(*sorted(sys.modules))
"""
    with fake_daemon(runtime, noi(), voga(), Done()):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment(runtime),
            capture_output=True,
            text=True,
            check=True,
        )

    loaded = set(done.stdout.splitlines()[-1].split())
    ours = {"config", "launch", "listmode", "identity", "cli.gather", "cli.list_mode"}
    assert "linodmgr.cli.list_jobs" in loaded
    assert not {"rich", "psutil", "asyncio", "django", "subprocess", "tempfile", "concurrent"} & loaded
    assert not {f"linodmgr.{name}" for name in ours} & loaded
