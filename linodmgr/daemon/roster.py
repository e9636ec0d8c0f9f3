"""Which sites there are and which of them people want: commands, reload, shutdown."""

import logging
from collections.abc import Collection, Iterable, Sequence

from linodmgr.config import Config
from linodmgr.core import shown
from linodmgr.core.names import choose
from linodmgr.core.plan import plan
from linodmgr.core.site import Site
from linodmgr.core.states import Blocked, Cleared, Event, Goal, RestartWanted, Stopped, Wanted
from linodmgr.core.worker import pid_of
from linodmgr.daemon import differences
from linodmgr.daemon.handover import HandedRound
from linodmgr.daemon.hold_file import Hold
from linodmgr.daemon.holds import UNKNOWN, Holds
from linodmgr.daemon.keep import Goals
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.rolling import Rolling

log = logging.getLogger(__name__)

DISABLED = "enabled = false in the configuration"
AT_ONCE = 4  # restarts, where any number of workers may start together


class Roster:
    """The configured sites, and what became of the goals that people set."""

    def __init__(self, config: Config, goals: Goals, loop: Loop, holds: Holds) -> None:
        self.config = config
        self._goals = goals
        self._loop = loop
        self._holds = holds
        self._rolling = Rolling(loop)
        self._leaving: set[str] = set()  # no longer configured, still stopping
        self._closing = False
        loop.listeners.add(self._drop_if_gone)
        loop.held = self._held

    def begin(self, outdated: Collection[str] = ()) -> None:
        """Take in all sites and start those that nobody stopped by hand or holds.

        Some have a worker already, an earlier daemon's; those that are ``outdated`` get another one.
        """
        self._holds.watch(self._hold_ended)
        alive = list(self._loop.sites)
        for site in self.config.sites.values():
            self._loop.add(site)
        self._leaving = {name for name in alive if name not in self.config.sites}
        wanted = {site.name: site for site in self.config.sites.values() if self.shall_run(site)}
        self._look([site for name, site in wanted.items() if name not in alive])
        # Nobody's command has begun while a worker of its site lives, also if nobody knows what is held.
        left = {name for name in alive if name in self.config.sites and self._held(name) == UNKNOWN}
        self._stop_all([name for name in alive if name not in {*wanted, *left}])
        self._loop.put_all((name, Wanted(Goal.UP)) for name in wanted)
        self._rolling.begin([name for name in alive if name in wanted and name in outdated], self._at_once())

    def hand_over(self) -> list[HandedRound]:
        """Return the restarts that the next daemon has to go on with; goals and holds are stored."""
        return self._rolling.hand_over()

    def take_over(self, rounds: Iterable[HandedRound]) -> None:
        """Go on with the sites of an earlier daemon, which the loop knows; try anew what is BLOCKED."""
        self._leaving = {name for name in self._loop.sites if name not in self.config.sites}
        for name in tuple(self._leaving):
            self._drop_if_gone(name)
        for hold in self._holds.watch(self._hold_ended):
            self._hold_ended(hold)
        blocked = [name for name in self._loop.sites if shown.word(self._loop.fleet[name]) == "BLOCKED"]
        self._look(self._loop.sites[name] for name in blocked)
        self._loop.put_all((name, Cleared()) for name in blocked)
        self._rolling.take_over(rounds)

    def expand(self, patterns: Sequence[str]) -> list[str]:
        """Return the names that ``patterns`` stand for. Raises UsageError."""
        return choose(self.config.sites, patterns)

    def start(self, names: Iterable[str]) -> list[str]:
        """Want sites UP and remember it; return those that are enabled and not held."""
        names = self._enabled(names)
        self._goals.set_started(names)
        self._let_start_later(names)
        names = self._free(names)
        waiting = self._rolling.forget(names)
        self._look([self.config.sites[name] for name in names if self._is_down(name)])
        self._loop.put_all((name, Wanted(Goal.UP)) for name in names)
        self._announce(waiting)
        return names

    def stop(self, names: Iterable[str], *, now: bool = False) -> list[str]:
        """Want sites DOWN and remember it. ``now``: no job may end."""
        names = list(names)
        try:
            self._goals.set_stopped(names)
        finally:  # also if that cannot be stored: they may be what fills the disk
            self._stop_all(names, now=now)
        return names

    def restart(self, names: Iterable[str], at_once: int = 0, *, now: bool = False) -> list[str]:
        """Want sites UP with new processes and remember it; return those that are enabled and not held.

        ``at_once``: how many may be on their way together; 0: the default. ``now``: no job may end.
        """
        names = self._enabled(names)
        self._goals.set_started(names)
        self._let_start_later(names)
        names = self._free(names)
        self._look(self.config.sites[name] for name in names)
        self._rolling.begin(names, at_once or self._at_once(), now=now)
        return names

    def hold(self, names: Iterable[str], process: tuple[int, int], uid: int, command: str) -> list[str]:
        """Keep sites stopped until the process (pid and start) of the user ``uid`` has ended.

        Raises LinodmgrError, or OSError if it cannot be stored; then nothing is stopped.
        """
        names = list(names)
        self._holds.add([self.config.sites[name] for name in names], process, uid, command)
        self._stop_all([name for name in names if not self._has_ended(name)])
        return names

    def release(self, names: Iterable[str]) -> list[str]:
        """Hold sites no longer; return those that start again."""
        sites = [self.config.sites[name] for name in names]
        return self._resume(self._holds.release(sites, self.config.sites))

    def end_hold(self, names: Iterable[str], process: tuple[int, int]) -> list[str]:
        """End the hold of a process that has ended; return those of the sites that still exist."""
        self._holds.end(*process)
        return [name for name in names if name in self.config.sites]

    def in_the_way(self, names: Iterable[str], process: tuple[int, int]) -> dict[str, str]:
        """Return why the process must not begin for which sites are held, in words, by their names.

        Those that were removed meanwhile do not count.
        """
        sites = [self.config.sites[name] for name in names if name in self.config.sites]
        self._look(sites)
        ours, guard = set(self._loop.pids()), self._loop.guard
        found = {
            site.name: self._holds.in_the_way(site, process) or guard.known(site, ours) for site in sites
        }
        return {name: reason for name, reason in found.items() if reason}

    def why_left_alone(self, name: str) -> str:
        """Return why a site is not started although somebody wants it, in words; else nothing."""
        if not self.config.sites[name].enabled:
            return DISABLED
        return self._holds.told(self.config.sites[name])

    def waits_for_its_turn(self, name: str) -> bool:
        """Whether a site is to be restarted, but not yet."""
        return self._rolling.waits(name)

    def is_settled(self, name: str) -> bool:
        """Whether nothing more is to be waited for after a command."""
        return self._loop.is_settled(name) and not self._rolling.waits(name)

    def close(self) -> None:
        """Watch nobody any more; holds stay."""
        self._holds.close()

    def shut_down(self, *, now: bool = False) -> float:
        """Stop everything, goals stay as they are; return the longest stop timeout in seconds."""
        self._closing = True
        self._stop_all(list(self._loop.fleet), now=now)
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
        self._look(config.sites[name] for name in touched if self.shall_run(config.sites[name]))
        self._leaving.update(todo.removed)
        self._stop_all(todo.removed)
        for name in todo.removed:
            self._drop_if_gone(name)
        waiting = self._rolling.forget(name for name in touched if not self.shall_run(config.sites[name]))
        self._loop.put_all(self._moves(todo.added, todo.restarted, todo.adjusted, blocked))
        self._announce(waiting)
        self._loop.pace(config.starts_at_once)
        self._rolling.begin(
            [name for name in todo.restarted if self.shall_run(config.sites[name])], self._at_once()
        )
        lines = [f"{name}: added" for name in todo.added]
        lines += [f"{name}: removed" for name in todo.removed]
        for name in todo.restarted + todo.adjusted:
            is_restart = name in todo.restarted and self.shall_run(config.sites[name])
            verb = "restarted" if is_restart else "changed"
            lines.append(f"{name}: {verb} ({differences.fields(before[name], config.sites[name])})")
        lines += [f"{name}: {self.why_left_alone(name)}" for name in touched if self._held(name)]
        lines.append(f"{len(todo.unchanged)} unchanged")
        lines += differences.of_daemon(old, config)
        on_their_way = [
            name for name in touched if self.shall_run(config.sites[name]) or not self._loop.is_settled(name)
        ]
        return lines, [*on_their_way, *self._leaving]

    def _moves(
        self, added: Iterable[str], restarted: Iterable[str], adjusted: Iterable[str], blocked: Iterable[str]
    ) -> Iterable[tuple[str, Event]]:
        """Yield the events that bring each site to what its new definition wants."""
        for name in (*added, *adjusted, *restarted):
            site = self.config.sites[name]
            if not self.shall_run(site):
                yield name, Wanted(Goal.DOWN)
            elif name in restarted:
                continue  # in its turn
            elif site.problem:
                yield name, RestartWanted()
            elif self._loop.fleet[name].goal is Goal.DOWN or shown.word(self._loop.fleet[name]) == "BLOCKED":
                yield name, Wanted(Goal.UP)
        for name in blocked:
            yield name, Cleared()

    def shall_run(self, site: Site) -> bool:
        """Whether it is enabled, nobody stopped it by hand, and nobody holds it."""
        return self.is_wanted(site) and not self._holds.reason(site)

    def is_wanted(self, site: Site) -> bool:
        """Whether it is enabled, and nobody stopped it by hand."""
        return site.enabled and not self._goals.is_stopped(site.name)

    def _held(self, name: str) -> str:
        return self._holds.reason(self._loop.sites[name])

    def _hold_ended(self, hold: Hold) -> None:
        self._resume([site for site in self.config.sites.values() if hold.keeps(site)])

    def _resume(self, sites: Iterable[Site]) -> list[str]:
        """Start those of ``sites`` that shall run; return their names."""
        wanted = [site for site in sites if self.shall_run(site)] if not self._closing else []
        resting = [site for site in wanted if self._is_down(site.name)]
        self._look(resting)
        self._loop.put_all((site.name, Wanted(Goal.UP)) for site in wanted if self._is_at_rest(site.name))
        return [site.name for site in wanted]

    def _has_ended(self, name: str) -> bool:
        """Whether its worker has ended and is let be: no end of a hold is to start it again."""
        return self._loop.fleet[name].goal is Goal.UP and isinstance(self._loop.fleet[name].state, Stopped)

    def _let_start_later(self, names: Iterable[str]) -> None:
        """Let those that are held start at the end of that, although they had ended before."""
        held = [name for name in names if self._held(name) and self._has_ended(name)]
        self._loop.put_all((name, Wanted(Goal.DOWN)) for name in held)

    def _is_at_rest(self, name: str) -> bool:
        return self._loop.fleet[name].goal is Goal.DOWN or isinstance(self._loop.fleet[name].state, Blocked)

    def _at_once(self) -> int:
        return self.config.starts_at_once or AT_ONCE

    def _enabled(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.config.sites[name].enabled]

    def _free(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not self._held(name)]

    def _is_down(self, name: str) -> bool:
        return pid_of(self._loop.fleet[name]) is None

    def _look(self, sites: Iterable[Site]) -> None:
        """Look once for linods that others started; a site with a problem is not started anyway."""
        self._loop.guard.look([site for site in sites if not site.problem], set(self._loop.pids()))

    def _stop_all(self, names: Sequence[str], *, now: bool = False) -> None:
        waiting = self._rolling.forget(names)
        # Those without a process first: a slot that becomes free must not let one of them start.
        ordered = sorted(names, key=lambda name: not self._is_down(name))
        self._loop.put_all((name, Wanted(Goal.DOWN, now)) for name in ordered)
        self._announce(waiting)

    def _announce(self, names: Iterable[str]) -> None:
        """Let those look who wait for a restart that is not to come."""
        for name in names:
            if name in self._loop.fleet:
                self._loop.announce(name)

    def _drop_if_gone(self, name: str) -> None:
        if name in self._leaving and isinstance(self._loop.fleet[name].state, Stopped):
            self._leaving.discard(name)
            self._loop.remove(name)
