"""The tables of sites.toml that describe sites → drafts: merged, named and compared, not yet with a user."""

import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linodmgr import keys, settings
from linodmgr.core.site import Policy, Site
from linodmgr.keys import Problem
from linodmgr.reading import show

_PLACES = re.compile(r"[^A-Za-z0-9._-]")  # characters that a name may not have


@dataclass(slots=True)
class Draft:
    """A site on its way from the file to a Site."""

    file: str
    label: str  # how problems name it: site.myprj
    directory: str = ""  # absolute
    name: str = ""  # fit for a file name and unique, once all are named
    values: dict[str, Any] = field(default_factory=dict)  # converted, with the defaults
    own: frozenset[str] = frozenset()  # keys that are written for this very site
    found: bool = False  # by a pattern in `projects`
    problems: list[Problem] = field(default_factory=list)

    def blame(self, key: str, text: str) -> None:
        """Add a problem of this site."""
        self.problems.append(Problem(self.file, self.label, key, text))

    def blamed(self) -> set[str]:
        """Return the keys that have problems."""
        return {problem.key.partition(".")[0] for problem in self.problems}

    def site(self) -> Site:
        """Return the site, still without an identity."""
        values = {key: self.values[key] for key in self.values if key in Site.__struct_fields__}
        policy = {key: self.values[key] for key in self.values if key in keys.POLICY}
        return Site(**{**values, "name": self.name, "directory": self.directory}, policy=Policy(**policy))


def written(
    key: str, tables: object, defaults: Mapping[str, Any], file: Path
) -> tuple[list[Draft], list[Problem]]:
    """Return a draft for each ``[[site]]`` of ``file``; ``key``: how the tables are really called."""
    shown = show(file)
    if isinstance(tables, dict):
        tables, header = [tables], f"[{key}]"
    else:
        header = f"[[{key}]]"
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return [], [
            Problem(shown, "", "site", f"must be tables written as [[site]], got {settings.show(tables)}")
        ]
    drafts = [_draft(table, defaults, file, number) for number, table in enumerate(tables, 1)]
    for draft in drafts if header != "[[site]]" else ():
        draft.blame("", f"must be written as [[site]], got {header}")
    return drafts, []


def _draft(table: dict[str, Any], defaults: Mapping[str, Any], file: Path, number: int) -> Draft:
    directory = table.get("directory")
    directory = directory if isinstance(directory, str) else ""
    name = table.get("name", os.path.basename(directory.rstrip("/")))
    label = f"site.{name}" if isinstance(name, str) and name and name.isprintable() else f"site[{number}]"
    values, problems = keys.take(table, keys.SITE, show(file), label)
    draft = Draft(show(file), label, own=frozenset(table), problems=problems)
    draft.values = {**defaults, **values}
    if "environment" in values:
        draft.values["environment"] = {**defaults.get("environment", {}), **values["environment"]}
    if "jobs" in values:
        draft.values["jobs"] = {**defaults.get("jobs", {}), **values["jobs"]}
    if "directory" in values:
        draft.directory = absolute(values["directory"], file)
    elif "directory" not in table:
        draft.blame("directory", "must be given")
    return draft


def absolute(path: str, file: Path) -> str:
    """Return ``path`` as seen from the directory of ``file``, without superfluous parts."""
    return "/" + os.path.normpath(os.path.join(file.parent, path)).lstrip("/")


def found(
    patterns: Iterable[str], defaults: Mapping[str, Any], file: Path, refined: Iterable[Draft]
) -> tuple[list[Draft], list[Problem]]:
    """Return a draft for each project directory that ``patterns`` match, without those ``refined``."""
    drafts, problems = [], []
    seen = {key for draft in refined for key in _same(draft.directory)}
    manage = defaults.get("manage", "manage.py")
    for pattern in patterns:
        matched = False
        for match in sorted(glob.glob(os.path.join(glob.escape(str(file.parent)), pattern))):
            directory = absolute(match, file)
            if not os.path.lexists(os.path.join(directory, manage)):
                continue
            matched = True
            if seen.isdisjoint(same := _same(directory)):
                seen |= same
                name = os.path.basename(directory)
                label = f"site.{name if name.isprintable() else ascii(name)}"
                drafts.append(Draft(show(file), label, directory, values=dict(defaults), found=True))
        if not matched:
            text = f"no directory with a {manage} matches {settings.show(pattern)}"
            problems.append(Problem(show(file), "", "projects", text))
    return drafts, problems


def _same(directory: str) -> set[object]:
    """Return what another path of the same directory has in common with it; nothing is opened."""
    if not directory:
        return set()
    try:
        status = os.stat(directory)
    except (OSError, ValueError):
        return {os.path.realpath(directory)}
    return {os.path.realpath(directory), (status.st_dev, status.st_ino)}


def _is_a_link(draft: Draft) -> bool:
    try:
        return os.path.realpath(draft.directory) != os.path.normpath(draft.directory)
    except (OSError, ValueError):
        return True


def name_all(drafts: Sequence[Draft]) -> None:
    """Give every draft a name that no other has; a later one with a name or directory in use is blamed."""
    names: dict[str, Draft] = {}
    directories: dict[object, Draft] = {}
    for draft in drafts:
        name = _name(draft)
        if name in names:
            draft.blame("name", f"{name!r} is already the name of the site in {names[name].directory!r}")
        elif name:
            names[name] = draft
            draft.name = name
    # Who puts a link to somebody else's directory in the place of their own must not come first.
    for draft in sorted(drafts, key=_is_a_link):
        same = _same(draft.directory)
        taken = next((directories[key] for key in same if key in directories), None)
        if taken is not None:
            draft.blame("directory", f"{draft.directory!r} is already the directory of {taken.label}")
        directories.update((key, draft) for key in same if key not in directories)
    for draft in drafts:
        if not draft.name:
            draft.name = _free(draft.label.removeprefix("site."), names)
            names[draft.name] = draft


def _name(draft: Draft) -> str:
    """Return the name that the draft is to have, empty if it cannot have it."""
    if "name" in draft.own:
        return str(draft.values.get("name", ""))
    if not draft.directory:
        return ""
    try:
        return settings.name(os.path.basename(draft.directory))
    except settings.Unfit as rule:
        draft.blame("name", f"{rule}: say name = ...")
        return ""


def _free(wish: str, names: Mapping[str, Draft]) -> str:
    """Return a name like ``wish`` that is fit for a file and in nobody's use."""
    stem = _PLACES.sub("_", wish)[:50].strip("._-") or "site"
    number = 1
    while (name := stem if number == 1 else f"{stem}-{number}") in names:
        number += 1
    return name
