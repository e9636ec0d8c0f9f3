"""``linodmgr reload``: the daemon reads its configuration again."""

import click

from linodmgr.cli import client, options, telling
from linodmgr.protocol import Reload


@click.command("reload", short_help="Make the daemon read its configuration again.")
@options.no_wait
@click.pass_context
def command(context: click.Context, no_wait: bool) -> None:
    """Read the configuration again; touch only the sites that have changed.

    If it cannot be used, the daemon keeps the old one and says why.
    """
    answers = client.ask(options.places(context).control, Reload(wait=not no_wait), within=None)
    context.exit(telling.tell(telling.follow(answers, "reloading"), waited=not no_wait))
