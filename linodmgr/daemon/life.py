"""What a runner tells of its process's life, as events of its worker."""

from linodmgr.core.never import assert_never
from linodmgr.core.states import (
    BecameReady,
    Connected,
    Event,
    FoundUnhooked,
    Lacking,
    Remarking,
    Resting,
    Said,
    Silent,
)
from linodmgr.core.told import line
from linodmgr.runner_protocol import Hello, Idle, Missing, Ready, Remark, Unhooked

REASON_LIMIT = 500  # characters of a site's own words that are shown to people

Life = Hello | Ready | Idle | Unhooked | Missing | Remark


def shown(reason: str) -> str:
    """Return a site's words as they are shown to people."""
    return line(reason, REASON_LIMIT)


def event(report: Life) -> Event:
    """Return what it means for the worker."""
    match report:
        case Hello():
            return Connected()
        case Ready():
            return BecameReady()
        case Unhooked():
            return FoundUnhooked()
        case Idle(reason):
            return Said(Resting(shown(reason)))
        case Missing(reason):
            return Said(Lacking(shown(reason)))
        case Remark(text):
            return Said(Remarking(shown(text)) if text else Silent())
        case _:
            assert_never(report)
