"""What a reload tells of what has changed, in words."""

from linodmgr.config import Config
from linodmgr.core.plan import changes
from linodmgr.core.site import Site


def fields(old: Site, new: Site) -> str:
    """Return which keys of a site differ."""
    names = sorted(changes(old, new))
    return ", ".join(_policy_fields(old, new) if name == "policy" else name for name in names)


def _policy_fields(old: Site, new: Site) -> str:
    names = old.policy.__struct_fields__
    return ", ".join(name for name in names if getattr(old.policy, name) != getattr(new.policy, name))


def of_daemon(old: Config, new: Config) -> list[str]:
    """Return lines about what a reload does not change."""
    if (old.places, old.group) == (new.places, new.group):
        return []
    return ["[daemon]: directories and group take effect when the daemon is started again"]
