"""The page that describes linod is so: its files are written, its commands run, in the order of the page."""

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.real.django_sites import write_python

PAGE = Path(__file__).parents[2] / "linodmgr" / "linod" / "README.md"
BLOCK = re.compile(r"(?:(Write|Add to) `([^`]+)`:\n\n)?^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.REPORT_NDIFF


class Shell:
    """Runs the commands of the page, one after the other, and remembers what the next ones need."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._status = 0
        write_python(directory / "bin" / "python", sys.executable)
        self._environment = {**os.environ, "PATH": f"{directory / 'bin'}:{os.environ['PATH']}"}

    def run(self, command: str) -> str:
        """Return what ``command`` prints; what it says on stderr fails the test."""
        if command.startswith("cd "):
            self.directory /= command.removeprefix("cd ")
            return ""
        done = subprocess.run(
            ["sh", "-c", f"(exit {self._status}); {command}"],
            cwd=self.directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr, done.stderr
        self._status = done.returncode
        return done.stdout


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output that the page shows."""
    for session in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = session.partition("\n")
        yield command, output


def check(shell: Shell, command: str, shown: str) -> None:
    """Run ``command`` and compare what it prints with what is shown."""
    printed = shell.run(command)
    example = doctest.Example(command, shown)
    checker = doctest.OutputChecker()
    assert checker.check_output(shown, printed, FLAGS), checker.output_difference(example, printed, FLAGS)


def test_the_page_is_so(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    commands = 0
    for verb, name, language, text in BLOCK.findall(PAGE.read_text()):
        if language == "python":
            path = shell.directory / name
            path.write_text((path.read_text() if verb == "Add to" else "") + text)
        else:
            assert language == "console"
            for command, shown in sessions(text):
                check(shell, command, shown)
                commands += 1
    assert commands == PAGE.read_text().count("\n$ ")
