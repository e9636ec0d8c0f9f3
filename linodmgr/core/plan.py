"""The reload plan: what differs between two configurations, and what must be done about it."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from linodmgr.core.site import Site

# What a running process would have to be started again for. The rest takes effect at once.
OF_THE_PROCESS = (
    "directory",
    "identity",
    "venv",
    "manage",
    "arguments",
    "environment",
    "environment_file",
    "umask",
    "stop_signal",
    "nice",
    "open_files",
    "oom_score_adjust",
    "isolate_jobs",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Site names, each in one list, in the order of the new configuration."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()  # the process must be another one
    adjusted: tuple[str, ...] = ()  # takes effect without a restart
    unchanged: tuple[str, ...] = ()


def plan(old: Mapping[str, Site], new: Mapping[str, Site]) -> Plan:
    """Return what leads from the sites of ``old`` to those of ``new``."""
    both = [name for name in new if name in old]
    changed = {name: changes(old[name], new[name]) for name in both}
    return Plan(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        restarted=tuple(name for name in both if changed[name] & _RESTARTING),
        adjusted=tuple(name for name in both if changed[name] and not changed[name] & _RESTARTING),
        unchanged=tuple(name for name in both if not changed[name]),
    )


def changes(old: Site, new: Site) -> frozenset[str]:
    """Return the names of the fields that differ."""
    names = (field.name for field in msgspec.structs.fields(Site))
    return frozenset(name for name in names if getattr(old, name) != getattr(new, name))


_RESTARTING = frozenset(OF_THE_PROCESS)
