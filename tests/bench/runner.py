"""What the runner adds to a worker: CPU until its first job runs, and private memory then.

The same plain Django site under `python manage.py linod` alone and under the runner, in turns. Argument: how
often.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.table import show, spread
from tests.eventually import eventually
from tests.real.django_sites import make_site
from tests.real.runner_harness import ENVIRONMENT, started

JOB = """\
import json
import os
import time

from linodmgr.linod import schedule_often

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@schedule_often(every=1)
def measure():
    with open("/proc/self/smaps_rollup") as file:
        private = sum(int(line.split()[1]) for line in file if line.startswith("Private_"))
    with open(os.path.join(HERE, "part"), "w") as file:
        json.dump([time.process_time() * 1000, private / 1000], file)
    os.rename(os.path.join(HERE, "part"), os.path.join(HERE, "measured"))
"""


def measured(project: Path) -> tuple[float, float]:
    """Return milliseconds of CPU and megabytes, as soon as the job has run."""
    path = project / "measured"
    eventually(path.exists, "the job has run", limit=30)
    cpu, memory = json.loads(path.read_text())
    path.unlink()
    return cpu, memory


def alone(project: Path) -> tuple[float, float]:
    """Return what the site takes without linodmgr."""
    with subprocess.Popen(
        [sys.executable, "manage.py", "linod"], cwd=project, env=ENVIRONMENT, stdout=subprocess.DEVNULL
    ) as process:
        found = measured(project)
        process.send_signal(signal.SIGTERM)
    return found


def under_the_runner(project: Path, place: Path) -> tuple[float, float]:
    """Return what it takes with our hooks."""
    with started(place, project) as runner:
        runner.begin()
        found = measured(project)
        runner.stop()
        runner.ends()
    (place / "report").unlink(missing_ok=True)
    return found


def main(rounds: int) -> None:
    """Measure and print."""
    place = Path(tempfile.mkdtemp(prefix="lm-bench-", dir="/tmp"))
    try:
        project = make_site(place / "noi", JOB)
        pairs = [(alone(project), under_the_runner(project, place)) for _ in range(rounds)]
    finally:
        shutil.rmtree(place)
    rows = [
        ["CPU, alone", *spread([without[0] for without, _ in pairs], "ms")],
        ["CPU, with the runner", *spread([within[0] for _, within in pairs], "ms")],
        ["CPU, the difference", *spread([within[0] - without[0] for without, within in pairs], "ms")],
        ["memory, alone", *spread([without[1] for without, _ in pairs], "MB")],
        ["memory, the difference", *spread([within[1] - without[1] for without, within in pairs], "MB")],
    ]
    show(f"What the runner adds, {rounds} times", ["", "median", "least", "most"], rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
