"""The keys of sites.toml: in which table each may stand, and what it takes."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from linodmgr import settings
from linodmgr.core.site import Restart
from linodmgr.settings import Kind, Unfit

POLICY: Mapping[str, Kind] = {
    "restart": settings.one_of(Restart),
    "start_timeout": settings.duration(),
    "settle": settings.duration(),
    "good_run": settings.duration(),
    "stop_timeout": settings.duration(),
    "backoff_max": settings.duration(),
}
DEFAULTS: Mapping[str, Kind] = {
    "venv": settings.path,
    "user": settings.line,
    "group": settings.line,
    "umask": settings.umask,
    "manage": settings.path,
    "arguments": settings.arguments,
    "environment": settings.variables,
    "environment_file": settings.path,
    "enabled": settings.flag,
    **POLICY,
    "stop_signal": settings.stop_signal,
    "nice": settings.whole(-20, 19),
    "memory_max": settings.size(zero=True),
    "open_files": settings.whole(0, 2**30),
    "oom_score_adjust": settings.whole(-1000, 1000),
    "job_timeout": settings.duration(zero=True),
    "watchdog": settings.duration(zero=True),
    "isolate_jobs": settings.flag,
    "catch_up": settings.flag,
    "jobs": settings.of_jobs,
    "log_max_bytes": settings.size(),
    "log_keep": settings.whole(0, 1000),
    "log_time": settings.flag,
    "notify": settings.optional_line,
}
SITE: Mapping[str, Kind] = {"directory": settings.path, "name": settings.name, **DEFAULTS}
DAEMON: Mapping[str, Kind] = {
    "group": settings.line,
    "include": settings.patterns,
    "starts_at_once": settings.whole(0),
    "runtime_dir": settings.path,
    "state_dir": settings.path,
    "log_dir": settings.path,
}
TOP: Mapping[str, Kind] = {"projects": settings.patterns}
TABLES = ("daemon", "defaults", "site")
ELSEWHERE = frozenset((*TABLES, *TOP, *DAEMON, *SITE))  # known somewhere, if not here

_HOMES = (
    (TOP, "at the top of the file, above all tables"),
    (DAEMON, "in [daemon]"),
    (DEFAULTS, "in [defaults] or [[site]]"),
    (SITE, "in [[site]]"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where in which file, and the rule in words."""

    file: str
    table: str  # with the site's name: site.myprj; empty: top level
    key: str
    text: str

    def __str__(self) -> str:
        place = ".".join(part for part in (self.table, self.key) if part)
        return f"{self.file}: {place}: {self.text}" if place else f"{self.file}: {self.text}"

    def short(self) -> str:
        """Return it for a place that names file and site already."""
        return f"{self.key}: {self.text}" if self.key else self.text


def take(
    table: Mapping[str, Any], kinds: Mapping[str, Kind], file: str, at: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Return what ``table`` sets, converted, and a problem for every key of it that cannot be used."""
    values: dict[str, Any] = {}
    problems = []
    for key, value in table.items():
        if key not in kinds:
            problems.append(Problem(file, at, "", unknown(key, kinds if at else (*kinds, *TABLES))))
            continue
        try:
            values[key] = kinds[key](value)
        except Unfit as fault:
            for rule in (fault, *fault.others):
                problems.append(Problem(file, at, f"{key}.{rule.below}" if rule.below else key, str(rule)))
    return values, problems


def unknown(key: str, known: Collection[str]) -> str:
    """Return the words for an unknown key: the nearest known one, or where it belongs."""
    text = f"unknown key {settings.show(key)}"
    homes = list(_homes(key))
    if homes:
        return f"{text}, it belongs {' or '.join(homes)}"
    from difflib import get_close_matches

    near = get_close_matches(key, known, 1)
    return f"{text}, did you mean {near[0]!r}?" if near else text


def table_meant(key: str, value: object) -> str:
    """Return which table of the top level ``key`` is meant to be, empty if it is known or like none.

    >>> table_meant("sites", [{"directory": "/srv/noi"}])
    'site'
    """
    is_table = isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(v, dict) for v in value)
    )
    if not is_table or key in ELSEWHERE:
        return ""
    from difflib import get_close_matches

    return "".join(get_close_matches(key, TABLES, 1))


def _homes(key: str) -> Iterator[str]:
    if key in TABLES:
        yield f"at the top level, as [[{key}]]" if key == "site" else f"at the top level, as [{key}]"
    for kinds, home in _HOMES:
        if key in kinds and not (kinds is SITE and key in DEFAULTS):
            yield home
