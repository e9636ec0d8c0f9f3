"""The kinds of value that sites.toml holds, each with the words for a value that does not fit."""

import re
import signal
from collections.abc import Callable, Collection
from datetime import date, time
from enum import Enum
from typing import Any

Kind = Callable[[object], Any]  # returns the value to use; raises Unfit

DAY = 86400.0  # seconds
LONGEST = 30 * DAY
JOB_TIMEOUT = "job_timeout"
SHOWN = 80  # characters of a value that are shown

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": DAY}
_BYTES = {"K": 1024, "M": 1024**2, "G": 1024**3}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(s|min|h|d)")
_SIZE = re.compile(r"([0-9]{1,12}) ?([KMG])")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNCATCHABLE = ("SIGKILL", "SIGSTOP")


class Unfit(Exception):
    """A value that does not fit; says the rule in words, and below which key it was broken."""

    def __init__(self, rule: str, value: object, below: str = "") -> None:
        super().__init__(f"{rule}, got {show(value)}")
        self.below = below
        self.others: list[Unfit] = []  # of the same value


class Unknown(Unfit):
    """A key that is none; says which one may be meant."""

    def __init__(self, key: str, known: Collection[str], below: str = "") -> None:
        from difflib import get_close_matches

        super().__init__("", key, below)
        near = get_close_matches(key, known, 1)
        self.args = (f"unknown key {show(key)}" + (f", did you mean {near[0]!r}?" if near else ""),)


def show(value: object) -> str:
    """Return ``value`` about as it is written in TOML, on one line and not too long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | time):
        return str(value)
    try:
        text = repr(value)
    except ValueError:  # hexadecimal numbers are read without a limit, but not written so
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else text[: SHOWN - 4] + " ..."


def line(value: object) -> str:
    """Return a text of one line that is not empty."""
    if not isinstance(value, str):
        raise Unfit("must be a string", value)
    if not value.strip():
        raise Unfit("must not be empty", value)
    if not value.isprintable():
        raise Unfit("must be one line of printable characters", value)
    return value


def optional_line(value: object) -> str:
    """Return a text of one line, which may be empty."""
    return "" if value == "" else line(value)


def path(value: object) -> str:
    """Return a path; one that begins with ~ would mean another directory for each user."""
    text = line(value)
    if text.startswith("~"):
        raise Unfit("must be written without ~", value)
    return text


def name(value: object) -> str:
    """Return a site's name, which is a file name, too."""
    text = line(value)
    if not _NAME.fullmatch(text):
        rule = "must begin with a letter or digit, hold only these and . _ -, and have at most 64 characters"
        raise Unfit(rule, value)
    return text


def flag(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise Unfit("must be true or false", value)
    return value


def whole(low: int, high: int | None = None) -> Kind:
    """Return the kind of whole numbers from ``low`` to ``high``."""
    most = 2**31 - 1 if high is None else high
    rule = f"{low} or more" if high is None else f"between {low} and {high}"

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unfit("must be a whole number", value)
        if value < low:
            raise Unfit(f"must be {rule}", value)
        if value > most:
            raise Unfit(f"must be at most {most}" if high is None else f"must be {rule}", value)
        return value

    return check


def duration(*, zero: bool = False) -> Kind:
    """Return the kind of durations: seconds, or a text with a unit; ``zero``: may be 0."""

    def check(value: object) -> float:
        seconds = _seconds(value)
        if zero and seconds < 0:
            raise Unfit("must be 0 or more", value)
        if not zero and seconds <= 0:
            raise Unfit("must be greater than 0", value)
        if seconds > LONGEST:
            raise Unfit("must be at most 30 days", value)
        return seconds

    return check


def _seconds(value: object) -> float:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return float(match[1]) * _SECONDS[match[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise Unfit('must be a number of seconds or a text like "30s", "5min", "2h" or "1d"', value)
    return float(min(value, 2 * LONGEST)) if value > 0 else float(max(value, -1))


def size(*, zero: bool = False) -> Kind:
    """Return the kind of sizes: bytes, or a text with K, M or G, powers of 1024; ``zero``: may be 0."""

    def check(value: object) -> int:
        if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
            number = int(match[1]) * _BYTES[match[2]]
        elif isinstance(value, bool) or not isinstance(value, int):
            raise Unfit('must be a number of bytes or a text like "64K", "512M" or "2G"', value)
        else:
            number = value
        if number < 0 or (number == 0 and not zero):
            raise Unfit("must be 0 or more" if zero else "must be greater than 0", value)
        if number >= 2**63:
            raise Unfit("must be less than 8 EiB", value)
        return number

    return check


def one_of(choices: type[Enum]) -> Kind:
    """Return the kind of values of an enumeration of strings."""
    words = [f'"{member.value}"' for member in choices]
    rule = f"must be {', '.join(words[:-1])} or {words[-1]}"

    def check(value: object) -> Enum:
        try:
            return choices(value)
        except ValueError:
            raise Unfit(rule, value) from None

    return check


def umask(value: object) -> int:
    """Return the bits of a umask; written as a string, because a number would be decimal."""
    if not isinstance(value, str) or not re.fullmatch("0?[0-7]{1,3}", value):
        raise Unfit('must be octal digits like "002"', value)
    return int(value, 8)


def stop_signal(value: object) -> int:
    """Return the number of a signal that a process can catch."""
    text = value if isinstance(value, str) else ""
    full = text if text.startswith("SIG") else f"SIG{text}"
    if full not in signal.Signals.__members__:
        raise Unfit('must be the name of a signal like "SIGTERM"', value)
    if full in _UNCATCHABLE:
        raise Unfit("must be a signal that a process can catch", value)
    return signal.Signals[full].value


def arguments(value: object) -> tuple[str, ...]:
    """Return what stands behind manage.py on the command line."""
    return texts('must be a list of strings like ["linod"]', value)


def patterns(value: object) -> tuple[str, ...]:
    """Return patterns of paths, none at all included."""
    if value == []:
        return ()
    return texts("must be a list of paths, * and ? allowed", value)


def texts(rule: str, value: object) -> tuple[str, ...]:
    """Return a list of texts of one line that is not empty."""
    if not isinstance(value, list) or not value:
        raise Unfit(rule, value)
    for item in value:
        if not isinstance(item, str) or not item or not item.isprintable():
            raise Unfit(rule, value)
    return tuple(value)


def of_jobs(value: object) -> dict[str, float]:
    """Return the job_timeout of each job that has a table of its own, by the job's name or id."""
    if not isinstance(value, dict):
        raise Unfit("must be tables like [site.jobs.checkdata]", value)
    found: dict[str, float] = {}
    faults: list[Unfit] = []
    for job, table in value.items():
        try:
            found.update(_of_job(job, table))
        except Unfit as fault:
            faults += [fault, *fault.others]
    if faults:
        faults[0].others = faults[1:]
        raise faults[0]
    return found


def _of_job(job: str, table: object) -> dict[str, float]:
    if not job.strip() or not job.isprintable():
        raise Unfit("must have names of printable characters", job)
    if not isinstance(table, dict):
        raise Unfit("must be a table like { job_timeout = 60 }", table, below=job)
    found: dict[str, float] = {}
    faults: list[Unfit] = []
    for key, value in table.items():
        try:
            if key != JOB_TIMEOUT:
                raise Unknown(key, (JOB_TIMEOUT,), below=job)
            found[job] = duration(zero=True)(value)
        except Unknown as fault:
            faults.append(fault)
        except Unfit as fault:
            fault.below = f"{job}.{key}"
            faults.append(fault)
    if faults:
        faults[0].others = faults[1:]
        raise faults[0]
    return found


def variables(value: object) -> dict[str, str]:
    """Return environment variables; their values may have several lines."""
    if not isinstance(value, dict):
        raise Unfit('must be a table like { LANG = "C.UTF-8" }', value)
    faults = []
    for key, text in value.items():
        if not _VARIABLE.fullmatch(key):
            faults.append(Unfit("must have names of letters, digits and _", key))
        elif not isinstance(text, str) or "\0" in text:
            faults.append(Unfit("must be a string", text, below=key))
    if faults:
        faults[0].others = faults[1:]
        raise faults[0]
    return dict(value)
