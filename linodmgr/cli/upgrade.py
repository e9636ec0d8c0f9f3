"""``linodmgr upgrade``: the daemon becomes the version that is installed now; no worker notices."""

import click

from linodmgr.cli import client, options, telling
from linodmgr.errors import ConfigError
from linodmgr.protocol import Upgrade


@click.command("upgrade", short_help="Let the daemon become the version that is installed now.")
@click.pass_context
def command(context: click.Context) -> None:
    """Let the running daemon become the version of linodmgr that is installed now, in place.

    The new version is tried first. If it does not work, or cannot use the configuration, the daemon goes on
    as it is and says why. The workers run on with their jobs; the configuration is read again.
    """
    answers = client.ask(options.places(context).control, Upgrade(), within=None)
    try:
        done = telling.follow(answers, "upgrading")
    except client.Refusal as refusal:
        if refusal.exit_code != ConfigError.exit_code:
            raise
        raise ConfigError([*str(refusal).split("\n"), "the daemon goes on as it is"]) from refusal
    context.exit(telling.tell(done))
