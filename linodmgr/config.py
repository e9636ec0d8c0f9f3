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
    fatal: list[Problem] = field(default_factory=list)
    general: list[Problem] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # lines about files that cannot be used


def load(path: Path, known: Mapping[str, Identity] | None = None, host: Host | None = None) -> Config:
    """Return the configuration in ``path``.

    ``known``: the identities of the configuration before by site, used where a user
    cannot be looked up in time. Raises ConfigError with all problems if the file, its
    [daemon] or [defaults], or a file that it includes cannot be used.
    """
    host = host or Host()
    path = Path(os.path.abspath(path))
    main = parse(read(path, trusted=host.caller.is_root), path)
    findings = _Findings()
    top = {key: value for key, value in main.items() if key not in keys.TABLES}
    top, findings.general = keys.take(top, keys.TOP, show(path), "")
    daemon = _table(main, "daemon", keys.DAEMON, path, findings)
    for key, text in misplaced(path, daemon).items():
        findings.fatal.append(Problem(show(path), "daemon", key, text))
        daemon.pop(key)
    defaults = _table(main, "defaults", keys.DEFAULTS, path, findings)
    if defaults.get("user") == "root":
        text = "must not be root: say it for each site that is meant"
        findings.fatal.append(Problem(show(path), "defaults", "user", text))

    tables = {path: main.get("site", [])}
    for file in _included(path, daemon.get("include", ()), findings):
        try:
            tables[file] = _included_sites(file, host, findings)
        except ConfigError as error:
            findings.broken += error.problems
    all_drafts = []
    for file, table in tables.items():
        some, problems = drafts.written(table, defaults, file)
        all_drafts += some
        findings.general += problems
    some, problems = drafts.found(top.get("projects", ()), defaults, path, all_drafts)
    all_drafts += some
    findings.general += problems
    drafts.name_all(all_drafts)

    answers = register(host.accounts, host.limit)
    sites = _with_identities(all_drafts, answers, daemon, host, known or {})
    group, group_id = _group(path, daemon, answers, host, findings)
    lines = [*map(str, findings.general), *(str(problem) for each in all_drafts for problem in each.problems)]
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
        files=tuple(tables),
        origin={draft.name: draft.file for draft in all_drafts},
        blame={draft.name: [str(problem) for problem in draft.problems] for draft in all_drafts},
    )


def _table(
    main: Mapping[str, Any], name: str, kinds: Mapping[str, settings.Kind], path: Path, findings: _Findings
) -> dict[str, Any]:
    """Return what [daemon] or [defaults] set; problems there end a daemon."""
    table = main.get(name, {})
    if not isinstance(table, dict):
        text = f"must be a table written as [{name}], got {settings.show(table)}"
        findings.fatal.append(Problem(show(path), "", name, text))
        return {}
    values, problems = keys.take(table, kinds, show(path), name)
    findings.fatal += problems
    return values


def _included(path: Path, patterns: tuple[str, ...], findings: _Findings) -> list[Path]:
    """Return the files that ``patterns`` match, each once, without the main file."""
    seen = {os.path.realpath(path)}
    files = []
    for pattern in patterns:
        matches = sorted(glob.glob(os.path.join(glob.escape(str(path.parent)), pattern)))
        if not matches and not glob.has_magic(pattern):
            text = f"there is no file {settings.show(pattern)}"
            findings.fatal.append(Problem(show(path), "daemon", "include", text))
        for match in matches:
            real = os.path.realpath(match)
            if real not in seen:
                seen.add(real)
                files.append(Path(drafts.absolute(match, path)))
    return files


def _included_sites(file: Path, host: Host, findings: _Findings) -> object:
    """Return the sites of an included file, which may hold nothing else. Raises ConfigError."""
    table = parse(read(file, trusted=host.caller.is_root), file)
    for key in table:
        if key != "site":
            near = keys.unknown(key, ["site"])
            text = f"{near}; an included file holds [[site]] only" if key in keys.ELSEWHERE else near
            findings.general.append(Problem(show(file), "", "", text))
    return table.get("site", [])


def _with_identities(
    all_drafts: list[Draft],
    answers: Register,
    daemon: Mapping[str, Any],
    host: Host,
    known: Mapping[str, Identity],
) -> dict[str, Site]:
    """Return the sites with who they run as; blames those drafts that can run as nobody."""
    sites = {draft.name: draft.site() for draft in all_drafts}
    wishes = {}
    for draft in all_drafts:
        try:
            if draft.directory and not draft.blamed() & {"user", "group"}:
                wishes[draft.name] = _wish(draft, sites[draft.name], host.caller)
        except NoIdentity as reason:
            draft.blame(reason.key, str(reason))
    identity.look_up(answers, wishes.values(), host.caller, [daemon.get("group", GROUP)])
    registry = Registry(answers, host.caller, known, host.limit)
    for draft in all_drafts:
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
    path: Path, daemon: Mapping[str, Any], answers: Register, host: Host, findings: _Findings
) -> tuple[str, int | None]:
    """Return the group whose members may control every site, and its number."""
    name = daemon.get("group", "")
    if not name:
        usual = answers.group_ids.get(GROUP) if host.caller.is_root else None
        return (GROUP, usual) if usual is not None else ("", None)
    if name not in answers.group_ids:
        text = f"group {name!r} could not be looked up within {host.limit:g} s: only root has control"
        findings.general.append(Problem(show(path), "daemon", "group", text))
        return name, None
    group_id = answers.group_ids[name]
    if group_id is None:
        findings.fatal.append(Problem(show(path), "daemon", "group", f"there is no group {name!r}"))
    elif not host.caller.is_root and group_id not in (host.caller.gid, *os.getgroups()):
        text = f"must be a group of our own, because linodmgr does not run as root, got {name!r}"
        findings.fatal.append(Problem(show(path), "daemon", "group", text))
    return name, group_id
