"""``linodmgr release``: ends what ``linodmgr hold`` began, by hand."""

import click

from linodmgr.cli import client, options, telling
from linodmgr.protocol import Release


@click.command("release", short_help="Hold sites no longer, although the command may still run.")
@options.site_names
@options.no_wait
@click.pass_context
def command(context: click.Context, sites: tuple[str, ...], no_wait: bool) -> None:
    """End the holds on sites; what nobody stopped by hand is started, into whatever command may still run."""
    answers = client.ask(options.places(context).control, Release(sites, wait=not no_wait), within=None)
    context.exit(telling.tell(telling.follow(answers, "starting"), waited=not no_wait))
