"""Users and groups of this host, each looked up once and all within a time limit.

A name service that hangs (LDAP) must not stop a restart, so lookups run in threads that
are left behind when the time is over.
"""

import grp
import os
import pwd
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Protocol, TypeVar

LOOKUP_LIMIT = 5.0  # seconds for all lookups of one load
NAMES_SHARE = 0.7  # of that time for names, so that some is left for the groups of those who were found
PATIENCE = 0.25  # seconds before one more thread asks, because the others may hang

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Person:
    """A user as passwd(5) knows one."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


class Accounts(Protocol):
    """All that is asked of the host's name services; None: there is no such user or group."""

    def user(self, name: str) -> Person | None: ...
    def owner(self, uid: int) -> Person | None: ...
    def group(self, name: str) -> int | None: ...
    def groups(self, member: tuple[str, int]) -> tuple[int, ...]: ...


class SystemAccounts:
    """The name services of this host, see nsswitch.conf(5)."""

    def user(self, name: str) -> Person | None:
        """Return the user of that name."""
        try:
            return _person(pwd.getpwnam(name))
        except KeyError:
            return None

    def owner(self, uid: int) -> Person | None:
        """Return the user with that number."""
        try:
            return _person(pwd.getpwuid(uid))
        except KeyError:
            return None

    def group(self, name: str) -> int | None:
        """Return the number of a group."""
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            return None

    def groups(self, member: tuple[str, int]) -> tuple[int, ...]:
        """Return the supplementary groups of a user, without the primary group that is given."""
        name, gid = member
        return tuple(sorted(set(os.getgrouplist(name, gid)) - {gid}))


def _person(entry: pwd.struct_passwd) -> Person:
    return Person(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir or "/", entry.pw_shell or "/bin/sh")


@dataclass(slots=True)
class Register:
    """The answers so far; what could not be answered in time is missing."""

    accounts: Accounts
    names_until: float  # monotonic
    until: float  # monotonic
    users: dict[str, Person | None] = field(default_factory=dict)
    owners: dict[int, Person | None] = field(default_factory=dict)
    group_ids: dict[str, int | None] = field(default_factory=dict)
    memberships: dict[tuple[str, int], tuple[int, ...]] = field(default_factory=dict)

    def look_up(self, users: Iterable[str], owners: Iterable[int], groups: Iterable[str]) -> None:
        """Fill in users by name, users by number, and groups."""
        _finish(
            [
                *_tasks(users, self.accounts.user, self.users),
                *_tasks(owners, self.accounts.owner, self.owners),
                *_tasks(groups, self.accounts.group, self.group_ids),
            ],
            self.names_until,
        )

    def look_up_memberships(self, members: Iterable[tuple[str, int]]) -> None:
        """Fill in the supplementary groups of users with a primary group."""
        _finish(list(_tasks(members, self.accounts.groups, self.memberships)), self.until)


def register(accounts: Accounts, limit: float = LOOKUP_LIMIT) -> Register:
    """Return an empty register whose lookups end ``limit`` seconds from now."""
    now = time.monotonic()
    return Register(accounts, now + NAMES_SHARE * limit, now + limit)


def _tasks(keys: Iterable[K], ask: Callable[[K], V], answers: dict[K, V]) -> list[Callable[[], None]]:
    def task(key: K) -> Callable[[], None]:
        def run() -> None:
            answers[key] = ask(key)

        return run

    return [task(key) for key in dict.fromkeys(keys) if key not in answers]


def _finish(tasks: Collection[Callable[[], None]], until: float) -> None:
    """Run ``tasks`` in threads until all have ended or the time is over; one that hangs delays no other."""
    waiting = deque(tasks)
    ended = 0
    news = Condition()

    def work() -> None:
        nonlocal ended
        while True:
            with news:
                if not waiting:
                    return
                task = waiting.popleft()
            try:
                task()
            except OSError:
                pass  # the name service is out of order: no answer
            finally:
                with news:
                    ended += 1
                    news.notify_all()

    with news:
        while ended < len(tasks) and (left := until - time.monotonic()) > 0:
            if waiting:
                Thread(target=work, name="lookup", daemon=True).start()
            news.wait_for(lambda: ended == len(tasks), min(left, PATIENCE))
        waiting.clear()
