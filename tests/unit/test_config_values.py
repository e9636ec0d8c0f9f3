"""Which values the keys of a site take, and the words for those that they do not take."""

from pathlib import Path

import pytest

from linodmgr.core.site import Site
from tests.configs import loaded, told, write


def _site(directory: Path, line: str) -> Site:
    return loaded(write(directory, f'[[site]]\ndirectory = "/srv/x"\nuser = "me"\n{line}')).sites["x"]


def _problem(directory: Path, line: str) -> str:
    """Return what is told about the site with ``line``."""
    user = "" if line.startswith("user") else 'user = "me"'
    (problem,) = told(write(directory, f'[[site]]\ndirectory = "/srv/x"\n{user}\n{line}'))
    return problem.removeprefix("site.x.")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1", 1.0),
        ("0.25", 0.25),
        ('"30s"', 30.0),
        ('"5min"', 300.0),
        ('"2h"', 7200.0),
        ('"1d"', 86400.0),
        ('"1.5 h"', 5400.0),
        ('"30d"', 2592000.0),
    ],
)
def test_durations_are_seconds_or_have_a_unit(tmp_path: Path, written: str, seconds: float) -> None:
    assert _site(tmp_path, f"good_run = {written}").policy.good_run == seconds


DURATION = 'must be a number of seconds or a text like "30s", "5min", "2h" or "1d"'


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("0", "must be greater than 0, got 0"),
        ("-1", "must be greater than 0, got -1"),
        ("-inf", "must be greater than 0, got -inf"),
        ("inf", "must be at most 30 days, got inf"),
        ('"31d"', "must be at most 30 days, got '31d'"),
        ("1" + "0" * 400, "must be at most 30 days, got 1000"),
        ("nan", f"{DURATION}, got nan"),
        ("true", f"{DURATION}, got true"),
        ('"5m"', f"{DURATION}, got '5m'"),
        ('"5"', f"{DURATION}, got '5'"),
        ('"-5s"', f"{DURATION}, got '-5s'"),
        ('"٣s"', f"{DURATION}, got '٣s'"),
        ("[1]", f"{DURATION}, got [1]"),
        ("2026-11-23", f"{DURATION}, got 2026-11-23"),
    ],
)
def test_other_durations_are_refused(tmp_path: Path, written: str, rule: str) -> None:
    assert _problem(tmp_path, f"settle = {written}").startswith(f"settle: {rule}")


def test_a_duration_that_may_be_off_may_be_zero(tmp_path: Path) -> None:
    assert _site(tmp_path, "watchdog = 0").watchdog == 0
    assert _problem(tmp_path, "watchdog = -1") == "watchdog: must be 0 or more, got -1"


@pytest.mark.parametrize(
    ("written", "size"), [("0", 0), ("100", 100), ('"64K"', 65536), ('"512M"', 536870912), ('"2 G"', 2**31)]
)
def test_sizes_are_bytes_or_have_a_unit(tmp_path: Path, written: str, size: int) -> None:
    assert _site(tmp_path, f"memory_max = {written}").memory_max == size


SIZE = 'must be a number of bytes or a text like "64K", "512M" or "2G"'


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("-1", "must be 0 or more, got -1"),
        ("1.5", f"{SIZE}, got 1.5"),
        ("false", f"{SIZE}, got false"),
        ('"512MB"', f"{SIZE}, got '512MB'"),
        ('"1k"', f"{SIZE}, got '1k'"),
        ('"999999999999G"', "must be less than 8 EiB, got '999999999999G'"),
        ("0x1" + "0" * 4000, "must be less than 8 EiB, got a number of thousands of digits"),
    ],
)
def test_other_sizes_are_refused(tmp_path: Path, written: str, rule: str) -> None:
    assert _problem(tmp_path, f"memory_max = {written}") == f"memory_max: {rule}"


def test_a_log_of_no_size_is_refused(tmp_path: Path) -> None:
    assert _problem(tmp_path, "log_max_bytes = 0") == "log_max_bytes: must be greater than 0, got 0"


@pytest.mark.parametrize(
    ("written", "bits"), [("0", 0), ("22", 0o22), ("002", 2), ("0027", 0o27), ("777", 511)]
)
def test_a_umask_is_octal_digits(tmp_path: Path, written: str, bits: int) -> None:
    assert _site(tmp_path, f'umask = "{written}"').umask == bits


@pytest.mark.parametrize("written", ["22", '""', '"8"', '"1000"', '"00000"', '"0o22"', '" 22"', "true"])
def test_another_umask_is_refused(tmp_path: Path, written: str) -> None:
    assert _problem(tmp_path, f"umask = {written}").startswith('umask: must be octal digits like "002", got ')


@pytest.mark.parametrize(("written", "number"), [("TERM", 15), ("SIGTERM", 15), ("SIGUSR1", 10), ("HUP", 1)])
def test_a_stop_signal_has_a_name(tmp_path: Path, written: str, number: int) -> None:
    assert _site(tmp_path, f'stop_signal = "{written}"').stop_signal == number


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('stop_signal = "KILL"', "stop_signal: must be a signal that a process can catch, got 'KILL'"),
        ('stop_signal = "SIGSTOP"', "stop_signal: must be a signal that a process can catch, got 'SIGSTOP'"),
        ("stop_signal = 15", 'stop_signal: must be the name of a signal like "SIGTERM", got 15'),
        ('stop_signal = ""', "stop_signal: must be the name of a signal like \"SIGTERM\", got ''"),
        ('restart = "no"', 'restart: must be "always", "on-failure" or "never", got \'no\''),
        ("restart = [1]", 'restart: must be "always", "on-failure" or "never", got [1]'),
        ("enabled = 1", "enabled: must be true or false, got 1"),
        ("nice = true", "nice: must be a whole number, got true"),
        ("nice = 1.0", "nice: must be a whole number, got 1.0"),
        ("nice = -21", "nice: must be between -20 and 19, got -21"),
        ("arguments = []", 'arguments: must be a list of strings like ["linod"], got []'),
        ('arguments = "linod"', "arguments: must be a list of strings like [\"linod\"], got 'linod'"),
        (
            'arguments = ["linod", 1]',
            "arguments: must be a list of strings like [\"linod\"], got ['linod', 1]",
        ),
        ('arguments = ["a\\u0000"]', "arguments: must be a list of strings like [\"linod\"], got ['a\\x00']"),
        ("environment = []", 'environment: must be a table like { LANG = "C.UTF-8" }, got []'),
        ('environment = { A = "\\u0000" }', "environment.A: must be a string, got '\\x00'"),
        ("user = 33", "user: must be a string, got 33"),
        ('user = ""', "user: must not be empty, got ''"),
        ('venv = "a\\nb"', "venv: must be one line of printable characters, got 'a\\nb'"),
        ('venv = "~/env"', "venv: must be written without ~, got '~/env'"),
        ('manage = "\\u2028"', "manage: must not be empty, got '\\u2028'"),
        ("notify = 1", "notify: must be a string, got 1"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_the_rule(tmp_path: Path, line: str, problem: str) -> None:
    assert _problem(tmp_path, line) == problem


def test_a_long_value_is_not_shown_in_full(tmp_path: Path) -> None:
    problem = _problem(tmp_path, f'restart = "{"x" * 1000}"')

    assert len(problem) < 200
    assert problem.endswith("xxx ...")
