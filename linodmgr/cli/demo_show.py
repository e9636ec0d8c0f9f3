"""What `linodmgr demo` shows: the commands that a person would type, and what they do."""

import os
import select
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which

import click

from linodmgr.cli import client
from linodmgr.cli.demo_sites import GOOD_RUN
from linodmgr.cli.tables import age
from linodmgr.errors import DaemonNotRunning, LinodmgrError
from linodmgr.places import CONFIG_VARIABLE, locate
from linodmgr.protocol import SiteStatus, Snapshot, Status

VICTIM = "visits"
PATIENCE = 60.0  # seconds that the sites get for what the show waits for
LOOK_EVERY = 0.002  # seconds
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(text: str) -> None:
    """Tell what comes next."""
    click.echo("\n" + click.style(text, bold=True))


def run(*arguments: str) -> None:
    """Run a command of linodmgr under the line that a person would type for it."""
    from linodmgr.cli.main import cli

    click.echo(click.style(f"$ linodmgr {' '.join(arguments)}", fg="cyan"))
    cli.main(arguments, prog_name="linodmgr", standalone_mode=False)


def show(config: Path, *, stay: bool) -> None:
    """Show what a daemon for ``config`` can do, and end it whatever happens. Raises LinodmgrError."""
    os.environ[CONFIG_VARIABLE] = str(config)
    control = locate(config).control
    with daemon_of(control):
        seen_running(control)
        say("How the sites are:")
        run("status")
        say("Their jobs, as the workers tell of them:")
        run("list")
        show_restart(control)
        if stay:
            follow(config)


@contextmanager
def daemon_of(control: Path) -> Iterator[None]:
    """Have the daemon run, and end it in order, which no second Ctrl-C may disturb."""
    if is_running(control):
        say("The daemon of an earlier demo still runs; it is ended first:")
        run("stop", "--daemon")
    say("One command starts the daemon, which starts the sites:")
    try:
        run("start")
        yield
    finally:
        before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
        try:
            end_daemon()
        finally:
            for number, action in before.items():
                signal.signal(number, action)


def end_daemon() -> None:
    """Stop the workers and the daemon, also if nobody reads any more what we say."""
    try:
        say("The workers are stopped; each may finish its current job. Then the daemon ends:")
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with suppress(DaemonNotRunning):
        run("stop", "--daemon")


def is_running(control: Path) -> bool:
    """Whether a daemon listens."""
    try:
        client.connect(control).close()
    except DaemonNotRunning:
        return False
    return True


def seen_running(control: Path) -> None:
    """Return once each site has been seen RUNNING; one may have crashed again meanwhile."""
    seen: set[str] = set()

    def all_seen(sites: dict[str, SiteStatus]) -> bool:
        seen.update(name for name, site in sites.items() if site.state == "RUNNING")
        return seen >= sites.keys()

    wait(control, all_seen)


def show_restart(control: Path) -> None:
    """Kill a worker and show how it comes back."""
    victim = wait(control, lambda sites: has_run_well(sites[VICTIM]))[VICTIM]
    assert victim.pid is not None, "it has run well"
    say(f"Now an accident: the worker of {VICTIM} is killed.")
    click.echo(click.style(f"$ kill -KILL {victim.pid}", fg="cyan"))
    os.kill(victim.pid, signal.SIGKILL)
    killed = time.monotonic()
    back = wait(control, lambda sites: sites[VICTIM].pid not in {None, victim.pid})[VICTIM]
    taken = time.monotonic() - killed
    click.echo(f"{VICTIM} is back: process {back.pid} was there within {taken * 1000:.0f} ms")
    wait(control, lambda sites: sites[VICTIM].state == "RUNNING")
    run("status", VICTIM)


def has_run_well(site: SiteStatus) -> bool:
    """Whether ``site`` has run long enough to be started again at once if it dies."""
    return site.state == "RUNNING" and site.since is not None and age(site.since) > 2 * GOOD_RUN


def wait(control: Path, check: Callable[[dict[str, SiteStatus]], bool]) -> dict[str, SiteStatus]:
    """Return the sites by name once ``check`` says yes. Raises LinodmgrError if that takes too long."""
    end = time.monotonic() + PATIENCE
    while True:
        sites = statuses(control)
        if check(sites):
            return sites
        if time.monotonic() > end:
            states = ", ".join(
                f"{site.name} {site.state}" + (f" ({site.reason})" if site.reason else "")
                for site in sites.values()
            )
            raise LinodmgrError(f"cannot go on with the demo: waited {PATIENCE:g} s: {states}")
        select.select([], [], [], LOOK_EVERY)


def statuses(control: Path) -> dict[str, SiteStatus]:
    """Return what the daemon says of each site."""
    for answer in client.ask(control, Status()):
        if isinstance(answer, Snapshot):
            return {site.name: site for site in answer.sites}
    raise LinodmgrError(f"cannot hear from the daemon at {control}: it did not say how its sites are")


def follow(config: Path) -> None:
    """Show what the sites print until the person has seen enough."""
    say("The sites go on until you press Ctrl-C. To play with them, in another terminal:")
    program = "linodmgr" if which("linodmgr") else os.path.abspath(sys.argv[0])
    click.echo(f"  export {CONFIG_VARIABLE}={shlex.quote(str(config))}")
    for arguments in ("status", "stop mails", "start mails"):
        click.echo(f"  {shlex.quote(program)} {arguments}")
    say("This is what they print; moody crashes now and then:")
    run("logs", "--follow", "--lines", "0")
