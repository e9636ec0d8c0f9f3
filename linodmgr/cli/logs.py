"""``linodmgr logs``: what the workers wrote, read straight from their files, so the daemon need not run."""

import fnmatch
import heapq
import math
import resource
import select
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click

from linodmgr.cli import names, options
from linodmgr.cli.logfile import LogFile, opened, show, show_all, unreadable
from linodmgr.cli.logtimes import asked, instant_of
from linodmgr.errors import LinodmgrError, UsageError

LOOK_EVERY = 250  # milliseconds, while following
COUNT = 20
COUNT_HELP = f"Begin with the last N lines; default: {COUNT}, with --since all of them."
SINCE_HELP = "Begin with the lines since then: '2h' or '30s' ago, or '2026-11-24 10:00'."
WILDCARDS = set("*?[")


@click.command("logs", short_help="Show what sites have written; -f goes on.")
@options.site_names
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is written, until Ctrl-C.")
@click.option("-n", "--lines", "count", metavar="N", type=click.IntRange(0), help=COUNT_HELP)
@click.option("--since", metavar="WHEN", help=SINCE_HELP)
@click.option("--daemon", is_flag=True, help="The daemon's own log.")
@click.pass_context
def command(
    context: click.Context,
    sites: tuple[str, ...],
    follow: bool,
    count: int | None,
    since: str | None,
    daemon: bool,
) -> None:
    """Show the last lines that sites have written, in the order of time; -f goes on."""
    if daemon and sites:
        raise UsageError("cannot show the logs of the daemon and of sites together: leave out one of them")
    begin = None if since is None else asked(since)
    log_dir = options.places(context).log_dir
    alone = daemon or (len(sites) == 1 and not WILDCARDS & set(sites[0]))
    wanted = [names.DAEMON] if daemon else matching(log_dir, sites)
    _take_all_descriptors()
    logs = _opened(log_dir, wanted, alone=alone)
    first = {
        _label(name, logs, alone): _first(name, log, begin, count, follow=follow)
        for name, log in logs.items()
    }
    show_all(in_order(first))
    hidden = set(wanted) - logs.keys()  # they cannot be read, which was said
    if hidden and not follow:
        context.exit(1)
    while follow:
        _pause()
        if not alone:
            new = set(matching(log_dir, sites)) - logs.keys()
            logs |= _opened(log_dir, sorted(new - hidden), alone=alone)
            hidden |= new - logs.keys()
        for name, log in logs.items():
            show(log.news(), _label(name, logs, alone))


def matching(log_dir: Path, patterns: Sequence[str]) -> list[str]:
    """Return the sites with a log that are meant, each once.

    Raises UsageError for a pattern that matches none, LinodmgrError if nothing can be shown.
    """
    try:
        there = names.with_logs(log_dir)
    except FileNotFoundError:
        there = []
    except OSError as error:
        raise unreadable(log_dir, error) from error
    if not there and not patterns:
        raise LinodmgrError(f"cannot show logs: there are none in {log_dir}: has a site been started yet?")
    found: dict[str, None] = dict.fromkeys(() if patterns else there)
    for pattern in patterns:
        matches = [name for name in there if fnmatch.fnmatchcase(name, pattern)]
        if not matches:
            what = f"cannot show the log of {pattern!r}: there is none in {log_dir}"
            raise UsageError(f"{what}: unknown site, or never started")
        found |= dict.fromkeys(matches)
    return list(found)


def in_order(lines: Mapping[str, Iterable[bytes]]) -> Iterator[tuple[str, bytes]]:
    r"""Yield labels and lines in the order of time; a line without a time stays behind the one before.

    >>> [line for _, line in in_order({"a": [b"1970-01-01T00:00:02.000+00:00 2", b"more"],
    ...     "b": [b"1970-01-01T00:00:01.000+00:00 1", b"1970-01-01T00:00:03.000+00:00 3"]})]
    ... # doctest: +NORMALIZE_WHITESPACE
    [b'1970-01-01T00:00:01.000+00:00 1', b'1970-01-01T00:00:02.000+00:00 2', b'more',
     b'1970-01-01T00:00:03.000+00:00 3']
    """
    timed = [_timed(label, of_one) for label, of_one in lines.items()]
    for _, label, line in heapq.merge(*timed, key=lambda one: one[0]):
        yield label, line


def _timed(label: str, lines: Iterable[bytes]) -> Iterator[tuple[float, str, bytes]]:
    latest = -math.inf
    for line in lines:
        instant = instant_of(line)
        latest = latest if instant is None else instant
        yield latest, label, line


def _first(
    name: str, log: LogFile, begin: float | None, count: int | None, *, follow: bool
) -> Iterable[bytes]:
    """Return what is shown of a log at first."""
    if begin is None:
        return log.last(COUNT if count is None else count, unfinished=not follow)
    if not log.has_times():
        click.echo(f"linodmgr: {name}: its lines have no times: it is shown without --since", err=True)
        return log.last(COUNT if count is None else count, unfinished=not follow)
    lines = log.since(begin, unfinished=not follow)
    return lines if count is None else deque(lines, count)


def _take_all_descriptors() -> None:
    """Let as many files be open as we may have: all those of all sites, perhaps."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _opened(log_dir: Path, wanted: Iterable[str], *, alone: bool) -> dict[str, LogFile]:
    """Return the logs of these sites; one of several that cannot be read does not hide the others."""
    logs = {}
    for name in wanted:
        try:
            logs[name] = opened(names.log_of(log_dir, name))
        except LinodmgrError as error:
            if alone:
                raise
            click.echo(f"linodmgr: {error}", err=True)
    return logs


def _label(name: str, names_shown: Iterable[str], alone: bool) -> str:
    return "" if alone else f"{name:<{max(map(len, names_shown))}} | "


def _pause() -> None:
    """Wait a moment; notice at once if nobody reads our output any more."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)  # POLLERR and POLLHUP are always told
    if reader.poll(LOOK_EVERY):
        raise BrokenPipeError
