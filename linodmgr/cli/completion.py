"""``linodmgr completion``: what a shell needs to complete commands, options and names of sites."""

import click
from click.shell_completion import get_completion_class

from linodmgr.errors import UsageError

PROGRAM = "linodmgr"
VARIABLE = "_LINODMGR_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS), metavar=f"{{{'|'.join(SHELLS)}}}", required=False)
@click.pass_context
def command(context: click.Context, shell: str | None) -> None:
    """Print what makes a shell complete commands and names of sites.

    \b
    bash: linodmgr completion bash > /etc/bash_completion.d/linodmgr
    zsh:  linodmgr completion zsh > "${fpath[1]}/_linodmgr"
    fish: linodmgr completion fish > ~/.config/fish/completions/linodmgr.fish
    """
    if shell is None:  # not left to click, which would say it in four lines
        raise UsageError("missing argument: say bash, zsh or fish")
    kind = get_completion_class(shell)
    assert kind is not None, "click knows these three"
    click.echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())
