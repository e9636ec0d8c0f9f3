"""``linodmgr restart``: stops sites and starts them again."""

import click

from linodmgr.cli import client, options, telling
from linodmgr.protocol import Restart


@click.command("restart", short_help="Restart sites, a few at a time.")
@options.site_names
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    metavar="N",
    help="Restart so many sites together; default: starts_at_once, or 4 where that is 0.",
)
@options.now
@options.no_wait
@click.pass_context
def command(
    context: click.Context, sites: tuple[str, ...], at_once: int | None, now: bool, no_wait: bool
) -> None:
    """Stop sites and start them again, a few at a time; what is down is started.

    The next one has its turn when one has come to rest. That goes on if you leave. A worker may finish
    its current job within the site's stop_timeout, unless you say --now.
    """
    request = Restart(sites, wait=not no_wait, now=now, at_once=at_once or 0)
    answers = client.ask(options.places(context).control, request, within=None)
    context.exit(telling.tell(telling.follow(answers, "restarting"), waited=not no_wait))
