"""The small words of the command line, and its help."""

import doctest
import importlib
from types import ModuleType

import click
import pytest

from linodmgr.cli import history, instants, jobs_plain, logparts, logs, main, names, run_job, telling
from linodmgr.cli.main import COMMANDS, cli

OURS = (
    *("start", "stop", "restart", "status", "list", "run", "history", "logs", "reload", "upgrade"),
    "completion",
)
WIDTH = 80


@pytest.mark.parametrize("module", [names, telling, instants, jobs_plain, run_job, history, logparts])
def test_the_examples_are_true(module: ModuleType) -> None:
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("name", OURS)
def test_every_command_has_a_help_of_whole_sentences(name: str) -> None:
    command: click.Command = importlib.import_module(COMMANDS[name]).command

    summary = command.get_short_help_str(WIDTH - len("  completion  "))
    assert summary.endswith(".")
    assert not summary.endswith("...")
    assert command.name == name


def test_commands_are_listed_in_the_order_in_which_they_are_needed() -> None:
    context = click.Context(cli)
    assert cli.list_commands(context)[:4] == ["start", "stop", "restart", "status"]
    assert cli.get_command(context, "begin") is None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (click.NoSuchOption("--jsn"), "no such option '--jsn': see 'linodmgr --help'"),
        (click.UsageError("Got unexpected extra argument (x)."), "got unexpected extra argument (x): see"),
    ],
)
def test_wrong_usage_is_told_in_one_line_in_our_words(said: click.UsageError, shown: str) -> None:
    words = main._usage(said)

    assert words.replace("option: --jsn", "option '--jsn'").startswith(shown)
    assert "\n" not in words


def test_labels_of_logs_stand_in_one_column() -> None:
    assert logs._label("noi", ["noi", "amici"], alone=False) == "noi   | "
