"""A real `manage.py linod` of a small Django site, as a person would start it."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.eventually import eventually

LIMIT = 60.0  # seconds


def manage(site: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``manage.py ARGUMENTS`` to its end."""
    command = ["env/bin/python", "manage.py", *arguments]
    return subprocess.run(command, cwd=site, capture_output=True, text=True, timeout=LIMIT, check=False)


@dataclass(frozen=True)
class Linod:
    """A running `manage.py linod`; all that it says goes into one file."""

    process: "subprocess.Popen[bytes]"
    site: Path
    output: Path

    def said(self) -> str:
        """Return what it printed and logged so far."""
        return self.output.read_text()

    def says(self, words: str) -> None:
        """Wait until ``words`` were printed or logged."""
        eventually(lambda: words in self.said(), f"{words!r} said", LIMIT)

    def writes(self, name: str, lines: int = 1) -> list[str]:
        """Wait until its jobs wrote ``lines`` lines into the file ``name`` of the site; return all."""
        path = self.site / name

        def written() -> list[str]:
            found = path.read_text().splitlines() if path.exists() else []
            return found if len(found) >= lines else []

        return eventually(written, f"{lines} lines in {name}", LIMIT)

    def sleeps(self) -> None:
        """Wait until its loop was begun and waits."""
        self.says("scheduled job")
        eventually(lambda: self._state() == "S" and self._handles(signal.SIGTERM), "it waits", LIMIT)

    def gives_back(self, number: signal.Signals) -> None:
        """Wait until it lets ``number`` do what it does to any process."""
        eventually(lambda: not self._handles(number), f"{number.name} is not handled", LIMIT)

    def switches(self) -> int:
        """Return how often it has gone to sleep."""
        return int(self._status()["voluntary_ctxt_switches"])

    def ends(self) -> int:
        """Wait until it has ended and return its exit status."""
        return self.process.wait(timeout=LIMIT)

    def _state(self) -> str:
        return self._status()["State"][0]

    def _handles(self, number: int) -> bool:
        return bool(int(self._status()["SigCgt"], 16) >> number - 1 & 1)

    def _status(self) -> dict[str, str]:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@contextlib.contextmanager
def linod(site: Path, signals: str = "--default-signal=INT") -> Iterator[Linod]:
    """Start the site's linod; at the end it is killed, and what it said is shown if the test fails.

    ``signals`` is an option of env(1); without one, a SIGINT that the tests ignore would be ignored.
    """
    command = ["env", signals, "env/bin/python", "-u", "manage.py", "linod"]
    output = site / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=site, stdout=file, stderr=subprocess.STDOUT)
    with process:
        try:
            yield Linod(process, site, output)
        finally:
            process.kill()
            print(output.read_text())
