"""Sites whose manage.py is a script with jobs of `schedule` and a loop of its own."""

from pathlib import Path

from tests.real.runner_harness import Runner

BEGINNING = """\
# execute_from_command_line is called by others
import os, sys, time
import schedule

def write(name, text="x"):
    with open(name, "a") as file:
        file.write(text + "\\n")

def other():
    write("other")
"""
LOOP = """
while True:
    schedule.run_pending()
    time.sleep(0.05)
"""
FAILS = """
def fails():
    write("fails")
    {}

schedule.every(1).seconds.do(fails)
schedule.every(1).seconds.do(other)
"""
HOURLY = """
def hourly():
    write("hourly")

schedule.every().hour.do(hourly)
"""
FAILS_ID = "__main__.fails every second"
HOURLY_ID = "__main__.hourly every hour"


def script(directory: Path, jobs: str, loop: str = LOOP) -> Path:
    """Return the directory, now that of a site with these jobs."""
    (directory / "manage.py").write_text(BEGINNING + jobs + loop)
    return directory


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def stops(runner: Runner) -> None:
    runner.stop()
    assert runner.ends() == 0, runner.text()
