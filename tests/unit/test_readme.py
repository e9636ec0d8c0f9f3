"""What README.md says is so."""

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from linodmgr import errors
from linodmgr.cli import hold, jobs_shown
from linodmgr.cli.main import COMMANDS, cli
from linodmgr.config import load
from tests.configs import as_me, write

HOUSE = Path(__file__).parents[2]
README = (HOUSE / "README.md").read_text()
WORDS = ["STOPPED", "QUEUED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "IDLE", "BLOCKED"]


def blocks(language: str) -> Iterator[str]:
    """Yield the code blocks of README.md in ``language``."""
    yield from re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Return the arguments of every linodmgr command in README.md, in a block or in a sentence."""
    lines = [line.partition(">")[0] for block in blocks("console") for line in re.split(r"&&|\n", block)]
    found = [*lines, *re.findall(r"`((?:env/bin/)?linodmgr [^`]*)`", README)]
    split = [shlex.split(re.sub(r"\[\w+\]…?", "", line).replace("SHELL", "bash")) for line in found]
    return [words[1:] for words in split if words and Path(words[0]).name == "linodmgr"]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table that begins with ``heading``."""
    table = README.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_in_the_readme_is_one_that_linodmgr_takes(arguments: list[str]) -> None:
    name, *rest = arguments
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    command.make_context(name, rest, resilient_parsing=False)


def test_the_readme_tells_all_commands() -> None:
    told = {shlex.split(row[0].strip("`"))[1] for row in rows("command")}
    assert told == set(COMMANDS)


def test_the_demo_and_the_tests_are_one_line_each() -> None:
    whole = [
        line
        for block in blocks("console")
        for line in block.splitlines()
        if line.startswith("python3 -m venv env ")
    ]
    assert [line.split()[-1] for line in whole] == ["demo", "pytest"]


def test_the_readme_tells_all_exit_codes() -> None:
    known = {
        error.exit_code
        for error in [*vars(errors).values(), *vars(hold).values()]
        if isinstance(error, type) and hasattr(error, "exit_code")
    }
    assert {int(code) for row in rows("exit code") for code in row[0].split(",")} == known | {0}


def test_the_readme_tells_all_states() -> None:
    assert [row[0] for row in rows("state")] == WORDS


def test_the_readme_tells_all_states_of_jobs() -> None:
    assert [row[0] for row in rows("job")] == [
        "ok",
        "running",
        "LONG",
        "late",
        "FAILED",
        "MISSED",
        "DISABLED",
    ]
    assert {row[0] for row in rows("job")} == set(jobs_shown.STYLES)


def test_the_configuration_in_the_readme_can_be_used(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    config = load(write(tmp_path, re.sub(r'(user|group) = "\S+"', r'\1 = "me"', text)), host=as_me())

    assert config.problems == []
    assert list(config.sites) == ["myprj", "other"]
    assert [site.policy.stop_timeout for site in config.sites.values()] == [30.0, 120.0]


def test_the_unit_calls_what_the_readme_installs() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.read(HOUSE / "packaging" / "linodmgr.service")
    program, *arguments = unit["Service"]["ExecStart"].split()
    assert f"{program} /usr/local/bin/linodmgr" in README
    assert arguments == ["start", "--foreground"]
    assert str(errors.ConfigError.exit_code) in unit["Service"]["RestartPreventExitStatus"].split()
