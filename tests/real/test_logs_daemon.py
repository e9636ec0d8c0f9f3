"""A real daemon with sites that write much, and what people see of it."""

import gzip
import os
import re
from pathlib import Path

import pytest

from linodmgr.cli import status
from linodmgr.protocol import SiteStatus, Stop
from tests.eventually import eventually
from tests.real.asking import done, pid_of, sites
from tests.real.daemon_fixture import Daemon
from tests.real.worker_sites import make_worker, site

LINES = 400_000  # about 38 MB
MUCH = 40_000_000  # bytes of memory
LITTLE = 1_000_000  # bytes, for a log


def numbers(log: Path, keep: int) -> list[int]:
    """Return the numbers of all lines that are kept."""
    found: list[int] = []
    for number in range(keep, -1, -1):
        plain = log.with_name(f"{log.name}.{number}") if number else log
        packed = plain.with_name(plain.name + ".gz")
        if plain.exists() or packed.exists():
            text = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
            found += map(int, re.findall(rb"^\S+ <(\d+)> x{80}\0\xff$", text, re.MULTILINE))
    return found


@pytest.mark.parametrize("max_bytes", [LITTLE, 100_000_000])
def test_a_worker_that_writes_at_full_speed_loses_no_line_and_fills_no_memory(
    daemon: Daemon, runtime: Path, max_bytes: int
) -> None:
    loud = make_worker(runtime / "loud", "writes_much")
    keys = {"environment": {"LINES": str(LINES)}, "log_max_bytes": max_bytes, "log_keep": 200}
    daemon.configure(site(loud, **keys) + site(make_worker(runtime / "calm", "waits")))
    daemon.start()
    pid_of(daemon, "calm")

    log = runtime / "log" / "loud.log"
    eventually(lambda: log.exists() and log.read_bytes().endswith(b" ready\n"), "all is written", limit=60.0)
    assert numbers(log, 200) == list(range(LINES))
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{daemon.pid}/status").read_text())
    assert peak is not None
    assert int(peak[1]) * 1024 < MUCH


def test_new_limits_of_logs_hold_without_a_restart(daemon: Daemon, runtime: Path) -> None:
    one = make_worker(runtime / "one", "waits")
    daemon.configure(site(one))
    daemon.start()
    pid = pid_of(daemon, "one")
    daemon.configure(site(one, log_max_bytes=100, log_keep=1, log_time=False))
    daemon.cli("reload")

    with Path(f"/proc/{pid}/fd/1").open("wb", buffering=0) as output:
        output.write(b"".join(b"%099d\n" % number for number in range(9)))
    log = runtime / "log" / "one.log"
    eventually(lambda: log.read_bytes() == b"%099d\n" % 8, "the last line is in the log")

    assert sorted(os.listdir(runtime / "log")) == ["one.log", "one.log.1"]


def test_a_site_that_is_removed_leaves_no_pipe(daemon: Daemon, runtime: Path) -> None:
    one, two = make_worker(runtime / "one", "waits"), make_worker(runtime / "two", "waits")
    daemon.configure(site(one) + site(two))
    daemon.start()
    pid_of(daemon, "one")
    pid_of(daemon, "two")
    daemon.configure(site(one))
    daemon.cli("reload")

    pipes = runtime / "run" / "output"
    eventually(lambda: not (pipes / "two").exists(), "its pipe is removed")
    assert (pipes / "one").exists()


def test_what_was_lost_is_shown_and_counted(daemon: Daemon, runtime: Path) -> None:
    daemon.configure(site(make_worker(runtime / "one", "waits")))
    daemon.start()
    pid = pid_of(daemon, "one")
    log = runtime / "log" / "one.log"
    log.rename(runtime / "elsewhere")
    log.mkdir()
    with Path(f"/proc/{pid}/fd/1").open("wb", buffering=0) as output:
        output.write(b"x" * 5000)

    eventually(lambda: sites(daemon)["one"].lost_output == 5000, "it is counted")
    assert "of output lost" in daemon.cli("status").stdout
    assert pid_of(daemon, "one") == pid
    log.rmdir()
    assert done(daemon, Stop(("one",))).results[0].ok


def test_what_was_lost_is_no_reason_to_hide_why_a_site_does_not_run() -> None:
    one = SiteStatus("one", "/x", "BACKOFF", "UP", None, None, None, 0, "it died", None, None, None)

    assert status.reason(one) == "it died"
