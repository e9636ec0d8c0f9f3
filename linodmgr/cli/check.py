"""``linodmgr check``: what is wrong with the configuration and the disk, and who else runs the jobs."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import click
import msgspec

from linodmgr import config as configuration
from linodmgr import places, strangers
from linodmgr.cli import disk, options
from linodmgr.cli.tables import printable
from linodmgr.config import Config
from linodmgr.core.names import choose
from linodmgr.core.site import Site
from linodmgr.errors import ConfigError
from linodmgr.reading import show

AT_ONCE = 4  # sites that are looked at side by side


class Finding(msgspec.Struct, frozen=True):
    """One problem as ``check --json`` shows it; ``site`` is None if it is not one site's."""

    site: str | None
    reason: str  # the whole line: file, key, rule


class Report(msgspec.Struct, frozen=True):
    """What ``check --json`` prints."""

    sites: list[str]  # that were checked
    problems: list[Finding]


@click.command("check")
@options.site_names
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(context: click.Context, sites: tuple[str, ...], as_json: bool) -> None:
    """Tell every problem of the configuration and of the sites' files.

    Looks at the files as each site's user, and whether something else runs a linod for the same
    directory. Needs no daemon and starts none. Ends with 78 if there is a problem.
    """
    path = places.config_path(context.obj["config"])
    try:
        report = examine(configuration.load(path), sites)
    except ConfigError as error:
        report = Report([], [Finding(None, line) for line in error.problems])
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        for finding in report.problems:
            click.echo(printable(finding.reason))
        click.echo(summary(report), err=bool(report.problems))
    if report.problems:
        context.exit(ConfigError.exit_code)


def examine(config: Config, patterns: Sequence[str] = ()) -> Report:
    """Return all that is wrong with ``config`` and with its sites on this host.

    Only sites that match one of ``patterns``, if there are any. Raises UsageError for one that fits none.
    """
    names = choose(config.sites, patterns)
    blamed = {line for lines in config.blame.values() for line in lines}
    findings = [Finding(None, line) for line in config.problems if line not in blamed]
    if os.geteuid() == 0 or config.path != places.SYSTEM_CONFIG:
        for fault in disk.places(config.places):
            findings.append(Finding(None, f"{show(config.path)}: daemon.{fault.key}: {fault.text}"))
    sound = [site for name in names if not (site := config.sites[name]).problem]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        faults = dict(zip((site.name for site in sound), pool.map(disk.look, sound), strict=True))
    in_the_way = _strangers(sound, config)
    for name in names:
        findings += [Finding(name, line) for line in config.blame[name]]
        at = f"{config.origin[name]}: site.{name}"
        findings += [Finding(name, f"{at}.{fault.key}: {fault.text}") for fault in faults.get(name, ())]
        for stranger in in_the_way.get(name, ()):
            findings.append(Finding(name, f"{at}: another linod runs for this directory: {stranger}"))
    return Report(names, findings)


def summary(report: Report) -> str:
    """Return how many sites and problems there are, in one line.

    >>> summary(Report(["noi", "voga"], []))
    '2 sites, no problems'
    >>> summary(Report(["noi"], [Finding("noi", "...")]))
    '1 site, 1 problem'
    """
    return f"{_count(len(report.sites), 'site')}, {_count(len(report.problems), 'problem')}"


def _count(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


def _strangers(sites: Sequence[Site], config: Config) -> dict[str, list[strangers.Stranger]]:
    """Return who else runs jobs of ``sites``: who holds a site's lock, and what it started, is our worker."""
    directories = dict(_directories(sites))
    locks = [str(config.places.lock_dir / f"{device}-{inode}") for device, inode in directories]
    ours = {pid for pids in strangers.holders_of(locks).values() for pid in pids}
    return strangers.find(directories, ours)


def _directories(sites: Sequence[Site]) -> Iterator[tuple[tuple[int, int], str]]:
    for site in sites:
        try:
            status = os.stat(site.directory)
        except OSError:  # told as a problem of the disk
            continue
        yield (status.st_dev, status.st_ino), site.name
