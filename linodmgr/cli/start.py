"""``linodmgr start``: sites, and the daemon if it does not run yet."""

import socket
from pathlib import Path

import click

from linodmgr.cli import client, options, telling
from linodmgr.core.names import choose
from linodmgr.errors import DaemonNotRunning, UsageError
from linodmgr.places import config_path, locate
from linodmgr.protocol import Start


@click.command("start", short_help="Start sites, and the daemon if it does not run yet.")
@options.site_names
@click.option("--foreground", is_flag=True, help="Be the daemon, for systemd; sites stopped by hand stay so.")
@options.no_wait
@click.pass_context
def command(context: click.Context, sites: tuple[str, ...], foreground: bool, no_wait: bool) -> None:
    """Start sites, also those stopped by hand; first the daemon if it does not run yet.

    Says what became of each site, with its last words if it did not come up.
    """
    config = config_path(context.obj["config"])
    if foreground:
        if sites:
            raise UsageError("cannot start only some sites in the foreground: leave out their names")
        from linodmgr.cli import background

        background.become(config)
    control = locate(config).control
    with _connected(context, config, control, sites) as connection:
        answers = client.converse(connection, control, Start(sites, wait=not no_wait), within=None)
        context.exit(telling.tell(telling.follow(answers, "starting"), waited=not no_wait))


def _connected(context: click.Context, config: Path, control: Path, sites: tuple[str, ...]) -> socket.socket:
    try:
        return client.connect(control)
    except DaemonNotRunning:
        from linodmgr.cli import background
        from linodmgr.config import load

        if sites:  # a name that nobody has must not start all the others
            choose(load(config).sites, sites)
        with background.turn(control.parent):
            try:
                return client.connect(control)  # who was before us has started it
            except DaemonNotRunning:
                code = background.start(config)
    if code:
        context.exit(code)
    return client.connect(control)
