"""``linodmgr restart``: stops sites and starts them again."""

import click

from linodmgr.cli import client, options, telling
from linodmgr.protocol import Restart


@click.command("restart")
@options.site_names
@options.no_wait
@click.pass_context
def command(context: click.Context, sites: tuple[str, ...], no_wait: bool) -> None:
    """Stop sites and start them again; what is down is started."""
    answers = client.ask(options.places(context).control, Restart(sites, wait=not no_wait), within=None)
    context.exit(telling.tell(telling.follow(answers, "restarting"), waited=not no_wait))
