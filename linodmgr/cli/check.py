"""``linodmgr check``: what is wrong with the configuration and the disk, and who else runs the jobs."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import click
import msgspec

from linodmgr import cgroups, places, strangers
from linodmgr import config as configuration
from linodmgr.cli import disk, options
from linodmgr.cli.tables import printable
from linodmgr.config import Config
from linodmgr.core.names import choose
from linodmgr.core.site import Site
from linodmgr.errors import ConfigError
from linodmgr.identity import Caller
from linodmgr.reading import show

AT_ONCE = 4  # sites that are looked at side by side
UNCONTAINED = (
    "no control groups (cgroup v2) can be made here: what a worker leaves behind is found as well as possible"
)
_OWNER, _DENIED = ".user: cannot be told from the owner of ", ": permission denied"  # root could tell


class Finding(msgspec.Struct, frozen=True):
    """One problem as ``check --json`` shows it; ``site`` is None if it is not one site's."""

    site: str | None
    reason: str  # the whole line: file, key, rule


class Report(msgspec.Struct, frozen=True):
    """What ``check --json`` prints."""

    sites: list[str]  # that were checked
    problems: list[Finding]
    unseen: list[str] = []  # those of the sites whose files only root can look at
    uncontained: bool = False  # workers get no control groups of their own


@click.command("check")
@options.site_names
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(context: click.Context, sites: tuple[str, ...], as_json: bool) -> None:
    """Tell every problem of the configuration and of the sites' files.

    Looks at the files as each site's user (only root can look at those of others), and whether
    something else runs a linod for the same directory. Needs no daemon and starts none. Ends with
    78 if there is a problem.
    """
    path = places.config_path(context.obj["config"])
    try:
        host = configuration.Host(caller=Caller(0, 0)) if places.is_above_us(path) else None
        report = examine(configuration.load(path, host=host), sites)
    except ConfigError as error:
        report = Report([], [Finding(None, line) for line in error.problems])
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        for finding in report.problems:
            click.echo(printable(finding.reason))
        click.echo(summary(report), err=bool(report.problems))
    if report.unseen:
        click.echo(about_unseen(len(report.unseen)), err=True)
    if report.uncontained:
        click.echo(UNCONTAINED, err=True)
    if report.problems:
        context.exit(ConfigError.exit_code)


def examine(config: Config, patterns: Sequence[str] = ()) -> Report:
    """Return all that is wrong with ``config`` and with its sites on this host.

    Only sites that match one of ``patterns``, if there are any. Raises UsageError for one that fits none.
    """
    names = choose(config.sites, patterns)
    above_us = places.is_above_us(config.path)
    blamed = {line for lines in config.blame.values() for line in lines}
    findings = [Finding(None, line) for line in config.problems if line not in blamed]
    sound = [site for name in names if not (site := config.sites[name]).problem]
    if not above_us:  # else its directories are root's business
        for_others = any(site.identity and site.identity.uid != os.geteuid() for site in sound)
        for fault in disk.places(config.places, for_others=for_others):
            findings.append(Finding(None, f"{show(config.path)}: daemon.{fault.key}: {fault.text}"))
    seen = [site for site in sound if not above_us or _is_ours(site)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        faults = dict(zip((site.name for site in seen), pool.map(disk.look, seen), strict=True))
    in_the_way = _strangers(sound, config)
    unseen = {site.name for site in sound if site not in seen}
    for name in names:
        hidden = [line for line in config.blame[name] if above_us and _OWNER in line and _DENIED in line]
        unseen.update([name] if hidden else [])
        findings += [Finding(name, line) for line in config.blame[name] if line not in hidden]
        at = f"{config.origin[name]}: site.{name}"
        findings += [Finding(name, f"{at}.{fault.key}: {fault.text}") for fault in faults.get(name, ())]
        for stranger in in_the_way.get(name, ()):
            findings.append(Finding(name, f"{at}: another linod runs for this directory: {stranger}"))
    uncontained = not above_us and not cgroups.find(config.places.runtime_dir)
    return Report(names, findings, [name for name in names if name in unseen], uncontained)


def summary(report: Report) -> str:
    """Return how many sites and problems there are, in one line.

    >>> summary(Report(["noi", "voga"], []))
    '2 sites, no problems'
    >>> summary(Report(["noi"], [Finding("noi", "...")]))
    '1 site, 1 problem'
    """
    return f"{_count(len(report.sites), 'site')}, {_count(len(report.problems), 'problem')}"


def about_unseen(number: int) -> str:
    """Return the line about sites of other users.

    >>> about_unseen(2)
    '2 sites run as other users: only root can look at their files'
    """
    if number == 1:
        return "1 site runs as another user: only root can look at its files"
    return f"{number} sites run as other users: only root can look at their files"


def _count(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


def _strangers(sites: Sequence[Site], config: Config) -> dict[str, list[strangers.Stranger]]:
    """Return who else runs jobs of ``sites``: all but the workers of the daemon that ``config`` is about."""
    found = strangers.find(dict(_directories(sites)), ours=())
    report = str(config.places.report)
    return {
        name: [one for one in several if not strangers.is_worker(one.pid, report)]
        for name, several in found.items()
    }


def _is_ours(site: Site) -> bool:
    return site.identity is not None and site.identity.uid == os.geteuid()


def _directories(sites: Sequence[Site]) -> Iterator[tuple[tuple[int, int], str]]:
    for site in sites:
        try:
            status = os.stat(site.directory)
        except OSError:  # told as a problem of the disk
            continue
        yield (status.st_dev, status.st_ino), site.name
