"""Runs that people have asked for, until they have ended."""

from collections.abc import Callable
from dataclasses import dataclass

from linodmgr.core.facts import RunEnded


@dataclass(slots=True)
class Wish:
    """A person wants a job run. ``tell`` hears each state that its run comes to, and how it ended.

    The states are queued, running, then ok, failed, warned; or declined, or dead.
    """

    site: str
    job: str  # id
    tell: Callable[[str, RunEnded], None]
    state: str = "queued"


class Wishes:
    """All of them, by their tokens; a site that tells somebody else's token is not heard."""

    def __init__(self) -> None:
        self._wishes: dict[str, Wish] = {}

    def add(self, token: str, wish: Wish) -> None:
        """Follow what becomes of a wish until ``forget``."""
        self._wishes[token] = wish

    def forget(self, token: str) -> None:
        """Follow it no more."""
        self._wishes.pop(token, None)

    def begun(self, site: str, token: str) -> None:
        """Tell that its run has begun."""
        if wish := self._of(site, token):
            wish.state = "running"
            wish.tell(wish.state, _nothing(wish, ""))

    def ended(self, site: str, token: str, fact: RunEnded) -> None:
        """Tell how its run has ended."""
        if wish := self._of(site, token):
            wish.tell(fact.outcome, fact)

    def declined(self, site: str, token: str, reason: str) -> None:
        """Tell that it will not be fulfilled."""
        if wish := self._of(site, token):
            wish.tell("declined", _nothing(wish, reason))

    def died(self, site: str, reason: str, error_of: Callable[[str], str]) -> None:
        """Tell that the worker of a site has ended; ``error_of`` says why a run of a job has failed."""
        for wish in [wish for wish in self._wishes.values() if wish.site == site]:
            why = error_of(wish.job) if wish.state == "running" else ""
            wish.tell("dead", _nothing(wish, why or reason))

    def _of(self, site: str, token: str) -> Wish | None:
        wish = self._wishes.get(token) if token else None
        return wish if wish and wish.site == site else None


def _nothing(wish: Wish, reason: str) -> RunEnded:
    """Return a run that has no end of its own."""
    return RunEnded(wish.job, "", 0.0, "failed", 0.0, error=reason)
