"""The command ``linodmgr``: loads only the subcommand asked for; turns problems into words and exit codes."""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from linodmgr import __version__
from linodmgr.errors import ConfigError, LinodmgrError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

INTERRUPTED = 130  # what shells say of a process that Ctrl-C ended

COMMANDS = {  # in the order of the help text
    "start": "linodmgr.cli.start",
    "stop": "linodmgr.cli.stop",
    "restart": "linodmgr.cli.restart",
    "status": "linodmgr.cli.status",
    "list": "linodmgr.cli.list_jobs",
    "run": "linodmgr.cli.run_job",
    "history": "linodmgr.cli.history",
    "logs": "linodmgr.cli.logs",
    "reload": "linodmgr.cli.reload",
    "hold": "linodmgr.cli.hold",
    "release": "linodmgr.cli.release",
    "upgrade": "linodmgr.cli.upgrade",
    "check": "linodmgr.cli.check",
    "demo": "linodmgr.cli.demo",
    "completion": "linodmgr.cli.completion",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used: each one's imports cost only itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


class OutputLost(OSError):
    """Standard output takes no more, perhaps because the disk is full."""


class Output(io.FileIO):
    """Standard output, whose problems can be told from those of all other files."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputLost(error.errno, error.strerror) from error


class Errors(io.FileIO):
    """Standard error: what nobody takes there must not change how a command ends."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


@click.group(
    cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--config",
    metavar="FILE",
    help="The configuration; default: $LINODMGR_CONFIG, else /etc/linodmgr/sites.toml or your own.",
)
@click.version_option(__version__, prog_name="linodmgr", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, config: str | None) -> None:
    """Run the background tasks of many Lino sites.

    One daemon runs one linod worker per site and starts it again when it dies. SITE is a site's name or a
    quoted pattern like 'proj*'; without names a command is about all sites.
    """
    context.obj = {"config": config}
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """End the process with the exit code of the command in ``arguments``, else in ``sys.argv``."""
    _prepare_output()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more
        _give_up_output()
        code = 1
    except OutputLost as error:
        _give_up_output()
        _tell(f"cannot write the output: {error.strerror}")
        code = 1
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(arguments, prog_name="linodmgr", standalone_mode=False)
    except click.UsageError as problem:
        _tell(_usage(problem))
        return problem.exit_code
    except click.ClickException as problem:
        _tell(problem.format_message())
        return problem.exit_code
    except ConfigError as error:
        for problem_line in error.problems:
            _tell(problem_line)
        return error.exit_code
    except LinodmgrError as error:
        _tell(str(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _tell(message: str) -> None:
    click.echo(f"linodmgr: {message}", err=True)


def _usage(problem: click.UsageError) -> str:
    """Return click's words in our form: one line, lower case, no full stop, what to do."""
    said = problem.format_message().rstrip(".").replace(". Did you", ", did you")
    path = problem.ctx.command_path if problem.ctx else "linodmgr"
    return f"{said[:1].lower()}{said[1:]}: see '{path} --help'"


def _prepare_output() -> None:
    """Make sure that printing never fails for want of a stream or of a character in its encoding."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w")))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout = _like(sys.stdout, Output(sys.stdout.fileno(), "w", closefd=False))
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        sys.stderr = _like(sys.stderr, Errors(sys.stderr.fileno(), "w", closefd=False))


def _like(stream: io.TextIOWrapper, raw: io.FileIO) -> io.TextIOWrapper:
    """Return a stream that writes into ``raw`` what ``stream`` would write."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )


def _give_up_output() -> None:
    """Make sure that what is still buffered does not fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
