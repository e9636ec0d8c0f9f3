"""``linodmgr logs``: what the workers wrote, read straight from their files, so the daemon need not run."""

import fnmatch
import select
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from linodmgr.cli import names, options
from linodmgr.cli.logfile import LogFile
from linodmgr.cli.tables import escaped
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
    opened = {name: _open(log_dir, name) for name in wanted}
    for name, log in opened.items():
        _show("" if alone else _label(name, opened), log.last(count, unfinished=not follow))
    while follow:
        _pause()
        if not alone:
            new = set(matching(log_dir, sites)) - opened.keys()
            opened |= {name: _open(log_dir, name) for name in sorted(new)}
        for name, log in opened.items():
            _show("" if alone else _label(name, opened), log.news())


def matching(log_dir: Path, patterns: Sequence[str]) -> list[str]:
    """Return the sites with a log that are meant, each once.

    Raises UsageError for a pattern that matches none, LinodmgrError if nothing can be shown.
    """
    try:
        there = names.with_logs(log_dir)
    except FileNotFoundError:
        there = []
    except OSError as error:
        raise _unreadable(log_dir, error) from error
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
    path = names.log_of(log_dir, name)
    try:
        return LogFile(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> LinodmgrError:
    if isinstance(error, PermissionError):
        return LinodmgrError(f"cannot read {path}: no permission: become root")
    return LinodmgrError(f"cannot read {path}: {(error.strerror or str(error)).lower()}")


def _label(name: str, opened: Iterable[str]) -> str:
    return f"{name:<{max(map(len, opened))}} | "


def _show(label: str, lines: Sequence[bytes]) -> None:
    if not lines:
        return
    if sys.stdout.isatty():
        label = click.style(label, fg="cyan") if label else label
        text = "".join(f"{label}{escaped(_text(line))}\n" for line in lines)
        click.echo(text, nl=False)
    else:
        start = label.encode()
        sys.stdout.buffer.write(b"".join(start + line + b"\n" for line in lines))
        sys.stdout.buffer.flush()


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")


def _pause() -> None:
    """Wait a moment; notice at once if nobody reads our output any more."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)  # POLLERR and POLLHUP are always told
    if reader.poll(LOOK_EVERY):
        raise BrokenPipeError
