"""sites.toml and the files it includes → Config; tells every problem at once.

One site's mistake is one site's problem: that site is blocked, the others can run.
"""

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from linodmgr import drafts, identity, keys, settings
from linodmgr.accounts import LOOKUP_LIMIT, Accounts, Register, SystemAccounts, register
from linodmgr.core.site import Identity, Site
from linodmgr.drafts import Draft
from linodmgr.errors import ConfigError
from linodmgr.identity import Caller, NoIdentity, Registry, Wish
from linodmgr.keys import Problem
from linodmgr.places import Places, misplaced, placed
from linodmgr.reading import parse, read, show

GROUP = "linodmgr"  # whose members may control every site, if there is such a group


@dataclass(frozen=True, slots=True)
class Config:
    """What sites.toml and the files it includes say."""

    path: Path
    places: Places
    sites: dict[str, Site]  # by name, in order; those with a problem included
    problems: list[str]  # one line each
    group: str  # whose members may control every site; empty: nobody but root
    group_id: int | None
    starts_at_once: int  # 0: no limit
    files: tuple[Path, ...]
    origin: dict[str, str] = field(default_factory=dict)  # the file that a site stands in
    blame: dict[str, list[str]] = field(default_factory=dict)  # those of the problems that are a site's


@dataclass(frozen=True, slots=True)
class Host:
    """Whom to ask for users and groups, for how long, and who we are."""

    accounts: Accounts = field(default_factory=SystemAccounts)
    limit: float = LOOKUP_LIMIT  # seconds
    caller: Caller = field(default_factory=Caller)


@dataclass(slots=True)
class _Findings:
    """What is wrong, as far as it is not one site's."""

    path: Path
    fatal: list[Problem] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # lines about included files that cannot be used
    general: list[Problem] = field(default_factory=list)

    def end(self, table: str, key: str, text: str) -> None:
        """Add a problem of the main file that ends a daemon."""
        self.fatal.append(Problem(show(self.path), table, key, text))


def load(path: Path, known: Mapping[str, Identity] | None = None, host: Host | None = None) -> Config:
    """Return the configuration in ``path``.

    ``known``: the identities of the configuration before by site, used where a user
    cannot be looked up in time. Raises ConfigError with all problems if the file, its
    [daemon] or [defaults], or a file that it includes cannot be used.
    """
    host = host or Host()
    path = Path(os.path.abspath(path))
    main = parse(read(path, trusted=host.caller.is_root), path)
    findings = _Findings(path)
    daemon, defaults, projects = _tables(main, findings)
    files = {path: main}
    for file in _included(daemon.get("include", ()), findings):
        try:
            files[file] = _sites_only(parse(read(file, trusted=host.caller.is_root), file), file, findings)
        except ConfigError as error:
            findings.broken += error.problems
    found = _drafts(files, defaults, projects, findings)
    answers = register(host.accounts, host.limit)
    sites = _with_identities(found, answers, daemon, host, known or {})
    group, group_id = _group(daemon, answers, host, findings)
    lines = [*map(str, findings.general), *(str(problem) for draft in found for problem in draft.problems)]
    if findings.fatal or findings.broken:
        raise ConfigError([*map(str, findings.fatal), *findings.broken, *lines])
    return Config(
        path=path,
        places=placed(path, daemon),
        sites=sites,
        problems=lines,
        group=group,
        group_id=group_id,
        starts_at_once=daemon.get("starts_at_once", os.cpu_count() or 1),
        files=tuple(files),
        origin={draft.name: draft.file for draft in found},
        blame={draft.name: [str(problem) for problem in draft.problems] for draft in found},
    )


def _tables(
    main: Mapping[str, Any], findings: _Findings
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """Return what [daemon], [defaults] and ``projects`` of the main file say."""
    top = {}
    for key, value in main.items():
        if (meant := keys.table_meant(key, value)) in ("daemon", "defaults"):
            findings.end("", "", keys.unknown(key, [meant]))
        elif key not in keys.TABLES and not meant:
            top[key] = value
    values, findings.general = keys.take(top, keys.TOP, show(findings.path), "")
    daemon = _table(main, "daemon", keys.DAEMON, findings)
    for key, text in misplaced(findings.path, daemon).items():
        findings.end("daemon", key, text)
        daemon.pop(key)
    defaults = _table(main, "defaults", keys.DEFAULTS, findings)
    if defaults.get("user") == "root":
        findings.end("defaults", "user", "must not be root: say it for each site that is meant")
    return daemon, defaults, values.get("projects", ())


def _table(
    main: Mapping[str, Any], name: str, kinds: Mapping[str, settings.Kind], findings: _Findings
) -> dict[str, Any]:
    table = main.get(name, {})
    if not isinstance(table, dict):
        findings.end("", name, f"must be a table written as [{name}], got {settings.show(table)}")
        return {}
    values, problems = keys.take(table, kinds, show(findings.path), name)
    findings.fatal += problems
    return values


def _included(patterns: tuple[str, ...], findings: _Findings) -> list[Path]:
    """Return the files that ``patterns`` match, each once, without the main file."""
    path = findings.path
    seen = {os.path.realpath(path)}
    files = []
    for pattern in patterns:
        matches = sorted(glob.glob(os.path.join(glob.escape(str(path.parent)), pattern)))
        if not matches and not glob.has_magic(pattern):
            findings.end("daemon", "include", f"there is no file {settings.show(pattern)}")
        for match in matches:
            real = os.path.realpath(match)
            if real not in seen:
                seen.add(real)
                files.append(Path(drafts.absolute(match, path)))
    return files


def _sites_only(table: dict[str, Any], file: Path, findings: _Findings) -> dict[str, Any]:
    """Return the table of an included file; what is not a site there is told."""
    for key, value in table.items():
        if key != "site" and keys.table_meant(key, value) != "site":
            text = keys.unknown(key, ["site"])
            if key in keys.ELSEWHERE:
                text = f"{text}; an included file holds [[site]] only"
            findings.general.append(Problem(show(file), "", "", text))
    return table


def _drafts(
    files: Mapping[Path, Mapping[str, Any]],
    defaults: Mapping[str, Any],
    projects: tuple[str, ...],
    findings: _Findings,
) -> list[Draft]:
    """Return all sites that are written, in order, and then those that ``projects`` finds."""
    found: list[Draft] = []
    for file, table in files.items():
        for key, value in table.items():
            if key == "site" or keys.table_meant(key, value) == "site":
                some, problems = drafts.written(key, value, defaults, file)
                found += some
                findings.general += problems
    some, problems = drafts.found(projects, defaults, findings.path, found)
    findings.general += problems
    drafts.name_all(found := found + some)
    return found


def _with_identities(
    found: list[Draft],
    answers: Register,
    daemon: Mapping[str, Any],
    host: Host,
    known: Mapping[str, Identity],
) -> dict[str, Site]:
    """Return the sites with who they run as; blames those drafts that can run as nobody."""
    sites = {draft.name: draft.site() for draft in found}
    wishes = {}
    for draft in found:
        try:
            if draft.directory and not draft.blamed() & {"user", "group"}:
                wishes[draft.name] = _wish(draft, sites[draft.name], host.caller)
        except NoIdentity as reason:
            draft.blame(reason.key, str(reason))
    identity.look_up(answers, wishes.values(), host.caller, [daemon.get("group", GROUP)])
    registry = Registry(answers, host.caller, known, host.limit)
    for draft in found:
        site = sites[draft.name]
        if draft.name in wishes:
            try:
                site = replace(site, identity=registry.identity(draft.name, wishes[draft.name]))
            except NoIdentity as reason:
                draft.blame(reason.key, str(reason))
        problem = "; ".join(problem.short() for problem in draft.problems)
        sites[draft.name] = replace(site, problem=problem)
    return sites


def _wish(draft: Draft, site: Site, caller: Caller) -> Wish:
    user, group = draft.values.get("user", ""), draft.values.get("group", "")
    if user:
        return Wish(user, group, by_site="user" in draft.own)
    if not caller.is_root:
        return Wish(group=group, owner=identity.directory_owner(site, caller))
    if draft.found:
        raise NoIdentity("user", "must be given in [defaults], or in a [[site]] for this directory")
    return Wish(group=group, owner=identity.owner_of(site))


def _group(
    daemon: Mapping[str, Any], answers: Register, host: Host, findings: _Findings
) -> tuple[str, int | None]:
    """Return the group whose members may control every site, and its number."""
    name = daemon.get("group", "")
    if not name:
        usual = answers.group_ids.get(GROUP) if host.caller.is_root else None
        return (GROUP, usual) if usual is not None else ("", None)
    if name not in answers.group_ids:
        text = f"group {name!r} could not be looked up within {host.limit:g} s: only root has control"
        findings.general.append(Problem(show(findings.path), "daemon", "group", text))
        return name, None
    group_id = answers.group_ids[name]
    if group_id is None:
        findings.end("daemon", "group", f"there is no group {name!r}")
    elif not host.caller.is_root and group_id not in (host.caller.gid, *os.getgroups()):
        rule = "must be a group of our own, because linodmgr does not run as root"
        findings.end("daemon", "group", f"{rule}, got {name!r}")
    return name, group_id
