"""``linodmgr reload``: the daemon reads its configuration again."""

import click

from linodmgr.cli import client, options, telling
from linodmgr.errors import ConfigError
from linodmgr.protocol import Reload


@click.command("reload", short_help="Make the daemon read its configuration again.")
@options.no_wait
@click.pass_context
def command(context: click.Context, no_wait: bool) -> None:
    """Read the configuration again; touch only the sites that have changed.

    If it cannot be used, the daemon keeps the old one and says why.
    """
    answers = client.ask(options.places(context).control, Reload(wait=not no_wait), within=None)
    try:
        done = telling.follow(answers, "reloading")
    except client.Refusal as refusal:
        if refusal.exit_code != ConfigError.exit_code:
            raise
        raise ConfigError([*str(refusal).split("\n"), "the old configuration is kept"]) from refusal
    context.exit(telling.tell(done, waited=not no_wait))
