"""``linodmgr status``: what runs, since when, and why not. Many call it often: it imports little."""

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from linodmgr.cli import client, options
from linodmgr.cli.tables import Column, age, render, size, span, state_style
from linodmgr.errors import DaemonNotRunning, LinodmgrError
from linodmgr.protocol import SiteStatus, Snapshot, Status

NOT_AS_WANTED = 3
AS_WANTED = {"UP": ("RUNNING", "IDLE"), "DOWN": ("STOPPED",)}
UNKNOWN = "-"

COLUMNS = (
    Column("NAME"),
    Column("STATE", style=state_style),
    Column("FOR", right=True, spare=1),
    Column("PID", right=True, spare=2),
    Column("MEMORY", right=True, spare=3),
    Column("CPU", right=True, spare=5),
    Column("RESTARTS", right=True, spare=4),
    Column("REASON"),
)


@click.command("status")
@options.site_names
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--strict", is_flag=True, help="End with 3 also if jobs need attention.")
@click.pass_context
def command(context: click.Context, sites: tuple[str, ...], as_json: bool, strict: bool) -> None:
    """Show what runs, since when, and why not; and which jobs need care.

    Ends with 0 if all sites are as wanted, with 3 if not or if the daemon is not running: good for a
    health check. Jobs that failed, were missed, are late, long or disabled count with --strict.
    """
    try:
        snapshot = _snapshot(options.places(context).control, sites)
    except DaemonNotRunning:
        if as_json:
            # Whoever reads JSON gets the same object always; the exit code and stderr say the rest.
            click.echo(_json(None, None, []))
        raise
    if as_json:
        click.echo(_json(snapshot.version, snapshot.pid, snapshot.sites))
    else:
        render(COLUMNS, [row(site) for site in snapshot.sites])
    if not all(is_as_wanted(site) and not (strict and site.attention) for site in snapshot.sites):
        context.exit(NOT_AS_WANTED)


def _snapshot(control: Path, sites: tuple[str, ...]) -> Snapshot:
    for answer in client.ask(control, Status(sites)):
        if isinstance(answer, Snapshot):
            return answer
    raise LinodmgrError(f"cannot hear from the daemon at {control}: it did not say how its sites are")


def _json(version: str | None, pid: int | None, sites: Sequence[SiteStatus]) -> str:
    shown = {"version": version, "pid": pid, "sites": sites}
    return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()


def is_as_wanted(site: SiteStatus) -> bool:
    """Whether what is, is what is wanted."""
    return site.state in AS_WANTED.get(site.goal, ())


def row(site: SiteStatus) -> list[str]:
    """Return what the table shows of a site; FOR is how long its process, else its state, has been there."""
    seconds = site.uptime
    if seconds is None and site.since is not None:
        seconds = age(site.since)
    return [
        site.name,
        f"{site.state} FAILING" if site.failing else site.state,
        UNKNOWN if seconds is None else span(max(0.0, seconds)),
        UNKNOWN if site.pid is None else str(site.pid),
        UNKNOWN if site.rss is None else size(site.rss),
        UNKNOWN if site.cpu is None else f"{site.cpu:.1f} s",
        str(site.restarts),
        reason(site),
    ]


def reason(site: SiteStatus) -> str:
    """Return why a site is not as wanted, else which of its jobs needs attention and what was lost."""
    attention = list(site.attention)
    if site.lost_output:
        attention.append(f"{size(site.lost_output)} of output lost")
    if site.reason or not attention:
        return site.reason or ""
    first, *more = attention
    return f"{first} (+{len(more)} more)" if more else first
