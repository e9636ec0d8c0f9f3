"""``linodmgr logs``: what the workers wrote, read straight from their files, so the daemon need not run."""

import fnmatch
import select
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from linodmgr.cli import names, options
from linodmgr.cli.logfile import LogFile, opened, show, unreadable
from linodmgr.errors import LinodmgrError, UsageError

LOOK_EVERY = 250  # milliseconds, while following
COUNT_HELP = "Begin with the last N lines; default: 20."
WILDCARDS = set("*?[")


@click.command("logs")
@options.site_names
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is written, until Ctrl-C.")
@click.option("-n", "--lines", "count", metavar="N", type=click.IntRange(0), default=20, help=COUNT_HELP)
@click.option("--daemon", is_flag=True, help="The daemon's own log.")
@click.pass_context
def command(context: click.Context, sites: tuple[str, ...], follow: bool, count: int, daemon: bool) -> None:
    """Show the last lines that sites have written; -f goes on."""
    if daemon and sites:
        raise UsageError("cannot show the logs of the daemon and of sites together: leave out one of them")
    log_dir = options.places(context).log_dir
    alone = daemon or (len(sites) == 1 and not WILDCARDS & set(sites[0]))
    wanted = [names.DAEMON] if daemon else matching(log_dir, sites)
    logs = {name: _open(log_dir, name) for name in wanted}
    for name, log in logs.items():
        show(log.last(count, unfinished=not follow), "" if alone else _label(name, logs))
    while follow:
        _pause()
        if not alone:
            new = set(matching(log_dir, sites)) - logs.keys()
            logs |= {name: _open(log_dir, name) for name in sorted(new)}
        for name, log in logs.items():
            show(log.news(), "" if alone else _label(name, logs))


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


def _open(log_dir: Path, name: str) -> LogFile:
    return opened(names.log_of(log_dir, name))


def _label(name: str, names_shown: Iterable[str]) -> str:
    return f"{name:<{max(map(len, names_shown))}} | "


def _pause() -> None:
    """Wait a moment; notice at once if nobody reads our output any more."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)  # POLLERR and POLLHUP are always told
    if reader.poll(LOOK_EVERY):
        raise BrokenPipeError
