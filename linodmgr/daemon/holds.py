"""Sites that must not run as long as somebody's command does: a backup, a migration.

A hold is stored before anything is stopped, so that neither the end of the terminal, nor of the
command line, nor of the daemon lets workers into a migration that goes on.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Collection

from linodmgr.birth import born, surely_born
from linodmgr.core.site import Site
from linodmgr.core.told import line
from linodmgr.daemon.hold_file import Hold, HoldFile, Stored, place_of
from linodmgr.daemon.keep import Locks
from linodmgr.daemon.live import SCARCE
from linodmgr.daemon.spawning import SpawnError
from linodmgr.errors import LinodmgrError

log = logging.getLogger(__name__)

PID_MAX = 2**22  # PID_MAX_LIMIT of the kernel
WATCH_AGAIN = 5.0  # seconds
COMMAND_LIMIT = 200  # characters of a command that are kept
UNKNOWN = "held, for the holds could not be read and a command may still run"


class Holds:
    """All holds; once `watch` was called, their processes are watched through pidfds."""

    def __init__(self, file: HoldFile, locks: Locks) -> None:
        self._file = file
        self._locks = locks
        self._pidfds: dict[tuple[int, int], int] = {}  # by pid and start of the process
        self._ended: Callable[[Hold], None] = lambda _hold: None

    def watch(self, ended: Callable[[Hold], None]) -> list[Hold]:
        """Forget and return the holds whose process has ended by now.

        ``ended`` is called with each that is over from now on.
        """
        self._ended = ended
        gone = []
        for hold in self._file.content.holds:
            try:
                if not self._follow(hold):
                    gone.append(hold)
            except OSError as error:
                log.error("cannot watch %s, see linodmgr release: %s", hold, error.strerror)
                asyncio.get_running_loop().call_later(WATCH_AGAIN, self._watch_again, hold)
        for hold in gone:
            log.info("%s: no longer %s, which has ended", ", ".join(hold.sites), hold)
        if gone:
            self._forget(gone)
        return gone

    def _watch_again(self, hold: Hold) -> None:
        if hold not in self._file.content.holds:
            return
        try:
            is_there = self._follow(hold)
        except OSError:
            asyncio.get_running_loop().call_later(WATCH_AGAIN, self._watch_again, hold)
        else:
            if not is_there:
                self._over(hold.pid, hold.started)

    def reason(self, site: Site) -> str:
        """Return why ``site`` must not run now, in words; empty if it may."""
        content = self._file.content
        if keeping := [hold for hold in content.holds if hold.keeps(site)]:
            return f"{keeping[0]}" + (f" and {len(keeping) - 1} more" if len(keeping) > 1 else "")
        return UNKNOWN if content.lost and site.name not in content.freed else ""

    def told(self, site: Site) -> str:
        """Return `reason`, and when that is over."""
        reason = self.reason(site)
        when = "" if reason == UNKNOWN else "when it has ended, or "
        return f"{reason}: starts {when}with linodmgr release {site.name}" if reason else ""

    def holds(self, site: Site, process: tuple[int, int]) -> bool:
        """Whether ``site`` is held for the process of this pid and start."""
        return any(
            hold.keeps(site) and (hold.pid, hold.started) == process for hold in self._file.content.holds
        )

    def add(self, sites: Collection[Site], process: tuple[int, int], uid: int, command: str) -> None:
        """Hold ``sites`` for a process, given by its pid and start, of the user ``uid``.

        Raises LinodmgrError, or OSError if it cannot be stored.
        """
        pid, started = process
        what = f"cannot hold {', '.join(site.name for site in sites)}"
        hold = Hold(
            sites={site.name: site.directory for site in sites},
            places={site.name: place for site in sites if (place := place_of(site))},
            pid=pid,
            started=started,
            boot=self._file.boot,
            command=line(command, COMMAND_LIMIT),
        )
        if process in self._pidfds:
            raise LinodmgrError(f"{what}: the process {pid} holds sites already")
        if not self._follow(hold, uid):
            raise LinodmgrError(f"{what}: there is no process {pid} of yours that could run the command")
        content = self._file.content
        try:
            self._file.write(Stored([*content.holds, hold], content.lost, content.freed))
        except BaseException:
            self._leave(hold)
            raise
        for site in sites:
            self._lend(site.directory, pid)
        log.info("%s: %s", ", ".join(hold.sites), hold)

    def release(self, sites: Collection[Site], everybody: Collection[str]) -> list[Site]:
        """Hold ``sites`` no longer, whoever held them; return those that were held.

        ``everybody``: the names of all sites that there are. Raises OSError if it cannot be stored.
        """
        released = [site for site in sites if self.reason(site)]
        if not released:
            return []
        content = self._file.content
        left = content.holds
        for site in released:
            left = [hold.without(site) for hold in left]
        freed = {*content.freed, *(site.name for site in released)} if content.lost else set()
        is_lost = bool(content.lost) and not freed.issuperset(everybody)
        self._file.write(
            Stored(
                [hold for hold in left if hold.sites],
                content.lost if is_lost else "",
                sorted(freed) if is_lost else [],
            )
        )
        for hold in left:
            if not hold.sites:
                self._leave(hold)
        for site in released:
            log.warning("%s: released by hand", site.name)
            with contextlib.suppress(OSError):
                self._locks.take_back(site.directory)
        return released

    def in_the_way(self, site: Site, process: tuple[int, int]) -> str:
        """Return why the process must not begin for which a site is held, in words; empty if it may."""
        if not self.holds(site, process):
            return "it is no longer held"
        try:
            os.close(self._locks.take(site.directory))
        except SpawnError as error:
            others = {hold.pid for hold in self._file.content.holds if hold.keeps(site)}
            if error.is_unseen or not others.issuperset(error.in_the_way):
                return error.reason
        return ""

    def end(self, pid: int, started: int) -> None:
        """End the hold of a process that has ended, in case that was not noticed yet."""
        for hold in self._file.content.holds:
            if (hold.pid, hold.started) == (pid, started) and born(pid) != started:
                self._over(pid, started)
                return

    def close(self) -> None:
        """Watch no more; the holds stay."""
        for hold in self._file.content.holds:
            self._leave(hold)

    def _follow(self, hold: Hold, uid: int | None = None) -> bool:
        """Watch the process of ``hold``; return whether it is still that one, and one of ``uid``.

        Raises OSError if that cannot be known.
        """
        if not 0 < hold.pid <= PID_MAX:
            return False
        try:
            pidfd = os.pidfd_open(hold.pid)
        except OSError as error:
            if error.errno in SCARCE:
                raise
            return False  # at most a thread has this number
        is_there = False
        try:
            is_there = surely_born(hold.pid) == hold.started and uid in (None, _owner(hold.pid))
        finally:
            if not is_there:
                os.close(pidfd)
        if not is_there:
            return False
        self._pidfds[hold.pid, hold.started] = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._over, hold.pid, hold.started)
        return True

    def _over(self, pid: int, started: int) -> None:
        """Forget the hold of a process that has ended."""
        [hold] = [hold for hold in self._file.content.holds if (hold.pid, hold.started) == (pid, started)]
        log.info("%s: no longer %s, which has ended", ", ".join(hold.sites), hold)
        self._leave(hold)
        self._forget([hold])
        self._ended(hold)

    def _leave(self, hold: Hold) -> None:
        pidfd = self._pidfds.pop((hold.pid, hold.started), None)
        if pidfd is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)

    def _forget(self, holds: Collection[Hold]) -> None:
        content = self._file.content
        left = [hold for hold in content.holds if hold not in holds]
        self._file.forget(Stored(left, content.lost, content.freed))

    def _lend(self, directory: str, pid: int) -> None:
        """Keep other daemons, too, from starting a site that is held."""
        try:
            self._locks.lend(directory, pid)
        except FileNotFoundError:  # nobody can start it
            pass
        except OSError as error:
            log.warning("cannot keep other daemons out of %s: %s", directory, error.strerror)


def _owner(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1
