"""``linodmgr stop``: sites, or the daemon with everything it runs."""

import contextlib
import os
import select
from pathlib import Path

import click

from linodmgr.cli import client, options, telling
from linodmgr.errors import UsageError
from linodmgr.protocol import Done, Stop


@click.command("stop", short_help="Stop sites, or with --daemon everything.")
@options.site_names
@click.option(
    "--daemon", is_flag=True, help="End the daemon and all workers; the next start runs them again."
)
@options.now
@options.no_wait
@click.pass_context
def command(context: click.Context, sites: tuple[str, ...], daemon: bool, now: bool, no_wait: bool) -> None:
    """Stop sites; they stay stopped, over reboots too, until they are started.

    A worker may finish its current job within the site's stop_timeout, unless you say --now, then or later.
    """
    control = options.places(context).control
    if daemon:
        if sites:
            raise UsageError("cannot stop the daemon for some sites only: leave out their names or --daemon")
        done = _end_daemon(control, wait=not no_wait, now=now)
        last_words = "the daemon has ended" if not no_wait else "the daemon is ending"
    else:
        done = telling.follow(
            client.ask(control, Stop(sites, wait=not no_wait, now=now), within=None), "stopping"
        )
        last_words = "" if sites else "the daemon goes on: 'linodmgr stop --daemon' ends it"
    code = telling.tell(done, waited=not no_wait)
    if last_words:
        click.echo(last_words)
    context.exit(code)


def _end_daemon(control: Path, wait: bool, now: bool) -> Done:
    with client.connect(control) as connection, contextlib.ExitStack() as stack:
        pidfd = None
        if wait and (pid := client.pid_of(connection)):
            with contextlib.suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                stack.callback(os.close, pidfd)
        request = Stop(wait=wait, daemon=True, now=now)
        done = telling.follow(client.converse(connection, control, request, within=None), "stopping")
        if pidfd is not None:
            # Readable once the process is gone: then its sockets and locks are free, too.
            select.select([pidfd], [], [])
    return done
