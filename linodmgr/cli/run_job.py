"""``linodmgr run``: one job, now, in its worker; shows what it prints and ends as it ends."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from linodmgr.cli import client, options
from linodmgr.cli.logfile import LogFile, opened, show
from linodmgr.cli.names import complete, complete_job
from linodmgr.cli.tables import escaped, printable, took
from linodmgr.errors import LinodmgrError
from linodmgr.protocol import Answer, JobRun, RunJob
from linodmgr.stamps import without

FAILED = 1
LOOK_EVERY = 0.2  # seconds, for new lines of the log
ENDS = {"ok": "ok", "warned": "warned", "failed": "FAILED"}  # states at the end of a run, and their words


@click.command("run")
@click.argument("site", shell_complete=complete)
@click.argument("job", shell_complete=complete_job)
@options.no_wait
@click.pass_context
def command(context: click.Context, site: str, job: str, no_wait: bool) -> None:
    """Run a job now, after the one that is running in its site.

    JOB is a name, or an id of 'linodmgr list --json'. What the site prints meanwhile is shown. Ends
    with 0 if the job went well, with 1 if it failed.
    """
    control = options.places(context).control
    with client.connect(control) as connection:
        run = _Run()
        request = RunJob(site, job, wait=not no_wait)
        with run.followed():
            for answer in client.overhear(connection, control, request, run.pause):
                run.hear(answer)
        if run.last is None:
            raise LinodmgrError(f"cannot run {job!r}: the daemon did not say what became of it")
        run.tell_end()
        context.exit(FAILED if run.last.state == "failed" else 0)


class _Run:
    """A run as it goes on; shows what its site prints."""

    def __init__(self) -> None:
        self.last: JobRun | None = None
        self._log: LogFile | None = None
        self._unread = False  # its log cannot be read
        self._queue = contextlib.ExitStack()

    def pause(self) -> float | None:
        """Return after how many seconds to look into the log."""
        return None if self._log is None else LOOK_EVERY

    def hear(self, answer: Answer | None) -> None:
        """Take what the daemon says, and show what is new in the log."""
        if isinstance(answer, JobRun):
            self._queue.close()
            if answer.state == "queued" and sys.stderr.isatty():
                self._queue.enter_context(_waiting(answer))
            self.last = answer
            if answer.state != "queued" and answer.log and self._log is None and not self._unread:
                self._open(answer)
        if self._log is not None:
            show(map(without, self._log.news()))

    def _open(self, run: JobRun) -> None:
        try:
            self._log = opened(Path(run.log))
        except LinodmgrError as error:
            self._unread = True
            click.echo(f"linodmgr: cannot show what {printable(run.name)} prints: {error}", err=True)
        else:
            self._log.begin_at(run.log_from, run.log_inode)

    @contextlib.contextmanager
    def followed(self) -> Iterator[None]:
        """Show what is left in the log at the end; who presses Ctrl-C is told that the job goes on."""
        try:
            yield
        except KeyboardInterrupt:
            self._queue.close()
            if self.last is not None:
                start = "\n" if sys.stderr.isatty() else ""  # behind the ^C; click ends the line
                line = f"{start}{self.last.site}: {printable(self.last.name)} goes on"
                click.echo(line, nl=False, err=True)
            raise
        finally:
            self._queue.close()
        if self._log is not None:
            show(map(without, self._log.news() + self._log.rest()))

    def tell_end(self) -> None:
        """Print what became of the run in one line."""
        assert self.last is not None, "something was heard"
        if self._unread and self.last.trace:
            click.echo("\n".join(f"    {escaped(line)}" for line in self.last.trace.splitlines()))
        click.echo(line_of(self.last))


def line_of(run: JobRun) -> str:
    """Return what is said of a run in the end, or as long as nobody waits for that.

    >>> line_of(JobRun("noi", "1", "checkdata", "ok", duration=12.3))
    'noi: checkdata ok after 12 s'
    >>> line_of(JobRun("noi", "1", "checkdata", "failed", duration=3.0, error="ValueError: x"))
    'noi: checkdata FAILED after 3 s: ValueError: x'
    >>> line_of(JobRun("noi", "1", "checkdata", "queued"))
    'noi: checkdata is queued'
    """
    end = ENDS.get(run.state)
    line = f"{run.site}: {printable(run.name)} {end or f'is {run.state}'}"
    if end and run.duration is not None:
        line += f" after {took(run.duration)}"
    return f"{line}: {printable(run.error)}" if run.error else line


@contextlib.contextmanager
def _waiting(run: JobRun) -> Iterator[None]:
    from linodmgr.cli.telling import spinner

    with spinner(line_of(run)):
        yield
