"""Which sites there are and which of them people want: commands, reload, shutdown."""

import logging
from collections.abc import Iterable, Sequence

from linodmgr.config import Config
from linodmgr.core import shown
from linodmgr.core.names import choose
from linodmgr.core.plan import changes, plan
from linodmgr.core.site import Site
from linodmgr.core.states import Cleared, Event, Goal, RestartWanted, Stopped, Wanted
from linodmgr.core.worker import pid_of
from linodmgr.daemon.keep import Goals
from linodmgr.daemon.loop import Loop

log = logging.getLogger(__name__)

DISABLED = "enabled = false in the configuration"


class Roster:
    """The configured sites, and what became of the goals that people set."""

    def __init__(self, config: Config, goals: Goals, loop: Loop) -> None:
        self.config = config
        self._goals = goals
        self._loop = loop
        self._leaving: set[str] = set()  # no longer configured, still stopping
        loop.listeners.add(self._drop_if_gone)

    def begin(self) -> None:
        """Take in all sites and start those that nobody stopped by hand."""
        for site in self.config.sites.values():
            self._loop.add(site)
        wanted = [site for site in self.config.sites.values() if self._shall_run(site)]
        self._look(wanted)
        self._loop.put_all((site.name, Wanted(Goal.UP)) for site in wanted)

    def take_over(self) -> None:
        """Go on with the sites of an earlier daemon, which the loop knows; try anew what is BLOCKED."""
        self._leaving = {name for name in self._loop.sites if name not in self.config.sites}
        for name in tuple(self._leaving):
            self._drop_if_gone(name)
        blocked = [name for name in self._loop.sites if shown.word(self._loop.fleet[name]) == "BLOCKED"]
        self._look(self._loop.sites[name] for name in blocked)
        self._loop.put_all((name, Cleared()) for name in blocked)

    def expand(self, patterns: Sequence[str]) -> list[str]:
        """Return the names that ``patterns`` stand for. Raises UsageError."""
        return choose(self.config.sites, patterns)

    def start(self, names: Iterable[str]) -> list[str]:
        """Want sites UP and remember it; return those that are enabled."""
        names = self._enabled(names)
        self._goals.set_started(names)
        self._look([self.config.sites[name] for name in names if self._is_down(name)])
        self._loop.put_all((name, Wanted(Goal.UP)) for name in names)
        return names

    def stop(self, names: Iterable[str]) -> list[str]:
        """Want sites DOWN and remember it."""
        names = list(names)
        self._goals.set_stopped(names)
        self._stop_all(names)
        return names

    def restart(self, names: Iterable[str]) -> list[str]:
        """Want sites UP with new processes and remember it; return those that are enabled."""
        names = self._enabled(names)
        self._goals.set_started(names)
        self._look(self.config.sites[name] for name in names)
        self._loop.put_all((name, RestartWanted()) for name in names)
        return names

    def shut_down(self) -> float:
        """Stop everything, goals stay as they are; return the longest stop timeout in seconds."""
        self._stop_all(list(self._loop.fleet))
        return max((site.policy.stop_timeout for site in self._loop.sites.values()), default=0.0)

    def is_gone(self) -> bool:
        """Whether no worker has a process any more."""
        return not any(True for _ in self._loop.pids())

    def reload(self, config: Config) -> tuple[list[str], list[str]]:
        """Go over to ``config``; only what changed is touched.

        Return what was done, in lines for people, and the names of sites that are on their way.
        """
        old, self.config = self.config, config
        todo = plan(old.sites, config.sites)
        before = {name: self._loop.sites[name] for name in todo.restarted + todo.adjusted}
        for site in config.sites.values():
            self._leaving.discard(site.name)
            self._loop.add(site)
        blocked = [name for name in todo.unchanged if shown.word(self._loop.fleet[name]) == "BLOCKED"]
        touched = [*todo.added, *todo.restarted, *todo.adjusted, *blocked]
        self._look(config.sites[name] for name in touched if self._shall_run(config.sites[name]))
        self._leaving.update(todo.removed)
        self._stop_all(todo.removed)
        for name in todo.removed:
            self._drop_if_gone(name)
        self._loop.put_all(self._moves(todo.added, todo.restarted, todo.adjusted, blocked))
        self._loop.pace(config.starts_at_once)
        lines = [f"{name}: added" for name in todo.added]
        lines += [f"{name}: removed" for name in todo.removed]
        for name in todo.restarted + todo.adjusted:
            is_restart = name in todo.restarted and self._shall_run(config.sites[name])
            verb = "restarted" if is_restart else "changed"
            lines.append(f"{name}: {verb} ({_fields(before[name], config.sites[name])})")
        lines.append(f"{len(todo.unchanged)} unchanged")
        lines += _daemon_changes(old, config)
        on_their_way = [
            name for name in touched if self._shall_run(config.sites[name]) or not self._loop.is_settled(name)
        ]
        return lines, [*on_their_way, *self._leaving]

    def _moves(
        self, added: Iterable[str], restarted: Iterable[str], adjusted: Iterable[str], blocked: Iterable[str]
    ) -> Iterable[tuple[str, Event]]:
        """Yield the events that bring each site to what its new definition wants."""
        for name in (*added, *adjusted, *restarted):
            site = self.config.sites[name]
            if not self._shall_run(site):
                yield name, Wanted(Goal.DOWN)
            elif name in restarted or site.problem:
                yield name, RestartWanted()
            elif self._loop.fleet[name].goal is Goal.DOWN or shown.word(self._loop.fleet[name]) == "BLOCKED":
                yield name, Wanted(Goal.UP)
        for name in blocked:
            yield name, Cleared()

    def _shall_run(self, site: Site) -> bool:
        return site.enabled and not self._goals.is_stopped(site.name)

    def _enabled(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.config.sites[name].enabled]

    def _is_down(self, name: str) -> bool:
        return pid_of(self._loop.fleet[name]) is None

    def _look(self, sites: Iterable[Site]) -> None:
        """Look once for linods that others started; a site with a problem is not started anyway."""
        self._loop.guard.look([site for site in sites if not site.problem], set(self._loop.pids()))

    def _stop_all(self, names: Iterable[str]) -> None:
        # Those without a process first: a slot that becomes free must not let one of them start.
        ordered = sorted(names, key=lambda name: not self._is_down(name))
        self._loop.put_all((name, Wanted(Goal.DOWN)) for name in ordered)

    def _drop_if_gone(self, name: str) -> None:
        if name in self._leaving and isinstance(self._loop.fleet[name].state, Stopped):
            self._leaving.discard(name)
            self._loop.remove(name)


def _fields(old: Site, new: Site) -> str:
    names = sorted(changes(old, new))
    return ", ".join(_policy_fields(old, new) if name == "policy" else name for name in names)


def _policy_fields(old: Site, new: Site) -> str:
    fields = old.policy.__struct_fields__
    return ", ".join(name for name in fields if getattr(old.policy, name) != getattr(new.policy, name))


def _daemon_changes(old: Config, new: Config) -> list[str]:
    if (old.places, old.group) == (new.places, new.group):
        return []
    return ["[daemon]: directories and group take effect when the daemon is started again"]
