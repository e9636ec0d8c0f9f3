"""Nothing is lost and nothing is doubled, whatever happens at whatever time."""

import contextlib
import os
import pwd
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.books import audit, cut_jobs
from tests.chaos.faults import Faults
from tests.chaos.judge import Judge, settled
from tests.chaos.world import World, processes_of

AT_ONCE = 4  # sources of faults
FAULTS = 300  # in each of the two variants, unless it is told how long
DISK = "512m"  # for the logs


@pytest.fixture
def log_disk(runtime: Path) -> Iterator[bool]:
    """A disk for the logs alone, where we may have one."""
    place = runtime / "log"
    place.mkdir()
    mounted = os.geteuid() == 0 and not os.system(f"mount -t tmpfs -o size={DISK},mode=0755 lm-chaos {place}")
    yield mounted
    if mounted:
        assert os.system(f"umount {place}") == 0


@pytest.mark.timeout(0)
@pytest.mark.parametrize("cgroup", ["on", "off"])
def test_whatever_happens_nothing_is_lost_and_nothing_is_doubled(
    cgroup: str, runtime: Path, log_disk: bool, request: pytest.FixtureRequest
) -> None:
    minutes = float(request.config.getoption("--chaos-minutes"))
    seed = int(request.config.getoption("--chaos-seed") or random.SystemRandom().randrange(2**32))
    print(f"again: --chaos-seed {seed} --chaos-minutes {minutes:g}")
    users = ("root", request.getfixturevalue("user").pw_name) if os.geteuid() == 0 else (_ourselves(),)
    world = World(runtime, users, {"LINODMGR_CGROUP": cgroup})
    judge = Judge(world)
    sources = [Faults(world, judge, seed + number, log_disk) for number in range(AT_ONCE)]
    end = time.monotonic() + minutes * 60

    def is_enough() -> bool:
        if len(judge.violations) > 20:
            return True
        return time.monotonic() > end if minutes else sum(one.count for one in sources) >= FAULTS

    world.begin()
    judge.begin()
    try:
        settled(judge, world)
        threads = [threading.Thread(target=source.work, args=(is_enough,)) for source in sources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        settled(judge, world)
        counted = world.lost()
    finally:
        with contextlib.suppress(AssertionError):
            world.daemon.cli("stop", "--daemon")
        judge.end()
        if world.daemon.process is not None:
            world.daemon.process.wait(10)
            world.daemon.process = None
    # Looked for often: some are another process every few milliseconds.
    left = [found for _ in range(20) if (found := processes_of(set(world.sites), world.home))]
    lines = audit(world, judge, counted)
    faults: dict[str, int] = {}
    for source in sources:
        for name, count in source.counts.items():
            faults[name] = faults.get(name, 0) + count
    print(f"{sum(faults.values())} faults: {faults}; {lines} lines; {judge.looks} looks of the judge")
    if judge.violations:
        evidence = Path(tempfile.mkdtemp(prefix="linodmgr-chaos-"))
        shutil.copy(world.daemon.output, evidence)
        for name in ("log", "stamps", "counts", "jobs"):
            shutil.copytree(runtime / name, evidence / name)
        (evidence / "violations").write_text("\n".join(judge.violations))
        print(f"evidence: {evidence}")
    lives = sum(len(file.lives) for file in judge.sites.values())
    print(f"{lives} workers; containment with cgroups: {cgroup}")
    last = "\n".join(line for source in sources for line in source.last)
    assert not judge.violations, "\n".join([*judge.violations[:40], last, world.daemon.said()])
    assert not left, left
    assert not cut_jobs(world)


def _ourselves() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name
