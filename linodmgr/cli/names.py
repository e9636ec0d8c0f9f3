"""The names of sites: for completion, and which log file is whose."""

import contextlib
import os
from pathlib import Path

import click

from linodmgr.errors import LinodmgrError
from linodmgr.places import Places, config_path, locate
from linodmgr.reading import parse, read

SUFFIX = ".log"
DAEMON = "_daemon"  # its log stands among those of the sites; no site can have this name
PATIENCE = 1.0  # seconds that completion waits for the daemon


def with_logs(log_dir: Path) -> list[str]:
    """Return the names of the sites that have a log, in order. Raises OSError."""
    names = (name[: -len(SUFFIX)] for name in os.listdir(log_dir) if name.endswith(SUFFIX))
    return sorted(name for name in names if not name.startswith(("_", ".")))


def log_of(log_dir: Path, name: str) -> Path:
    """Return where the output of a site is."""
    return log_dir / (name + SUFFIX)


def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the sites that the shell may offer; none if they cannot be told quickly."""
    given = context.params.get(parameter.name or "") or ()
    with contextlib.suppress(LinodmgrError, OSError, ValueError):
        config = config_path(context.find_root().params.get("config"))
        names = _known(config, locate(config))
        return [name for name in names if name.startswith(incomplete) and name not in given]
    return []


def complete_job(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the jobs that the shell may offer for the site that was named before."""
    from linodmgr.cli import client
    from linodmgr.protocol import Jobs, SiteJobs

    site = context.params.get("site")
    with contextlib.suppress(LinodmgrError, OSError, ValueError):
        places = locate(config_path(context.find_root().params.get("config")))
        answers = client.ask(places.control, Jobs((site,) if site else ()), PATIENCE)
        jobs = [job.name for answer in answers if isinstance(answer, SiteJobs) for job in answer.jobs]
        return sorted({name for name in jobs if name.startswith(incomplete) and name.isprintable()})
    return []


def _known(config: Path, places: Places) -> list[str]:
    from linodmgr.cli import client
    from linodmgr.protocol import Snapshot, Status

    with contextlib.suppress(LinodmgrError):
        for answer in client.ask(places.control, Status(), PATIENCE):
            if isinstance(answer, Snapshot):
                return [site.name for site in answer.sites]
    names = set()
    with contextlib.suppress(OSError):
        names.update(with_logs(places.log_dir))
    with contextlib.suppress(LinodmgrError):
        names.update(written(read(config, trusted=False)))
    return sorted(names)


def written(text: str) -> list[str]:
    """Return the names that a configuration writes down, without checking anything. Raises ConfigError.

    >>> written('''[[site]]
    ... directory = "/srv/noi"
    ... [[site]]
    ... directory = "/srv/other/"
    ... name = "voga"''')
    ['noi', 'voga']
    """
    sites = parse(text, Path("sites.toml")).get("site")
    tables = [table for table in sites if isinstance(table, dict)] if isinstance(sites, list) else []
    names = (
        table.get("name") or os.path.basename(str(table.get("directory", "")).rstrip("/")) for table in tables
    )
    return [str(name) for name in names if name]
