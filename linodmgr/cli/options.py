"""What several commands share: their arguments, and where the daemon's files are."""

import click

from linodmgr.cli.names import complete
from linodmgr.places import Places, config_path, locate

site_names = click.argument("sites", nargs=-1, metavar="[SITE]...", shell_complete=complete)
no_wait = click.option("--no-wait", is_flag=True, help="Do not wait until it is done.")

now = click.option("--now", is_flag=True, help="Kill at once, whatever job runs.")


def places(context: click.Context) -> Places:
    """Return where the files are of the daemon that the command line means."""
    return locate(config_path(context.obj["config"]))
