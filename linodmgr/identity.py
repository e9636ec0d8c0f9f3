"""Who a site's processes run as: the rules. Never root unless the file says so for that site."""

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from linodmgr.accounts import Person, Register
from linodmgr.core.site import Identity, Site
from linodmgr.launch import venv_of
from linodmgr.reading import why

SAY = "say user = ..."


class NoIdentity(Exception):
    """Why a site can have no identity: the key to blame, and words."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True)
class Wish:
    """What a site's tables and its files say about who it runs as."""

    user: str = ""  # as written; empty: the owner
    group: str = ""  # as written; empty: the user's own
    owner: int = -1  # uid, if no user is written
    by_site: bool = True  # the user is written for this site, not in [defaults]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who linodmgr itself runs as."""

    uid: int = field(default_factory=os.geteuid)
    gid: int = field(default_factory=os.getegid)

    @property
    def is_root(self) -> bool:
        """Tell whether sites of other users can be run."""
        return self.uid == 0


def owner_of(site: Site) -> int:
    """Return the uid that directory, manage.py and the virtualenv's bin all belong to.

    Raises NoIdentity. Nothing is opened: root has no business inside a project directory.
    """
    paths = {
        "the directory": site.directory,
        "manage.py": os.path.join(site.directory, site.manage),
        "the virtualenv": os.path.join(venv_of(site), "bin"),
    }
    owners = {}
    for what, path in paths.items():
        try:
            status = os.stat(path) if path == site.directory else os.lstat(path)
        except OSError as error:
            text = f"cannot be told from the owner of {path!r}: {why(error)}: {SAY}"
            text += f", or make {what} and say linodmgr reload" if error.errno == errno.ENOENT else ""
            raise NoIdentity("user", text) from error
        if what == "manage.py" and stat.S_ISLNK(status.st_mode):
            raise NoIdentity("user", f"cannot be told from the owner of {path!r}, which is a link: {SAY}")
        owners[what] = status.st_uid
    first = owners["the directory"]
    for what, uid in owners.items():
        if uid != first:
            text = f"cannot be told: the directory belongs to uid {first}, but {what} to uid {uid}: {SAY}"
            raise NoIdentity("user", text)
    if first == 0:
        raise NoIdentity("user", f"cannot be told, because the directory belongs to root: {SAY}")
    return first


def directory_owner(site: Site, caller: Caller) -> int:
    """Return the uid of the directory's owner; ours if it is not there, which the start will tell."""
    try:
        return os.stat(site.directory).st_uid
    except OSError:
        return caller.uid


def look_up(register: Register, wishes: Iterable[Wish], caller: Caller, groups: Iterable[str]) -> None:
    """Look up all users and groups that ``wishes`` name, and ``groups``."""
    wishes = list(wishes)
    register.look_up(
        users=[wish.user for wish in wishes if wish.user],
        owners=[caller.uid, *(wish.owner for wish in wishes if wish.owner >= 0)],
        groups=[*groups, *(wish.group for wish in wishes if wish.group)],
    )
    members = []
    for wish in wishes:
        person = register.users.get(wish.user) if wish.user else register.owners.get(wish.owner)
        gid = register.group_ids.get(wish.group) if wish.group else person.gid if person else None
        if person is not None and gid is not None:
            members.append((person.name, gid))
    if caller.is_root:
        register.look_up_memberships(members)


@dataclass(frozen=True, slots=True)
class Registry:
    """Wishes → identities, from the answers of the name services or, where these are late, from before."""

    register: Register
    caller: Caller
    known: Mapping[str, Identity]  # by the site's name
    limit: float  # seconds that the lookups could take

    def identity(self, site: str, wish: Wish) -> Identity:
        """Return who the site called ``site`` runs as. Raises NoIdentity."""
        if not self.caller.is_root:
            return self._own(wish)
        answers = self.register
        key = wish.user or wish.owner
        if key not in answers.users and key not in answers.owners:
            return self._remembered(site, wish)
        person = answers.users[wish.user] if wish.user else answers.owners[wish.owner]
        if person is None:
            raise NoIdentity("user", _nobody(wish))
        if person.uid == 0 and not (wish.user == "root" and wish.by_site):
            raise NoIdentity(
                "user", f'{person.name!r} is root: say user = "root" for the site if that is meant'
            )
        gid = self._gid(site, wish, person)
        if (person.name, gid) not in answers.memberships:
            return self._remembered(site, wish)
        groups = answers.memberships[person.name, gid]
        return Identity(person.name, person.uid, gid, groups, person.home, person.shell)

    def _gid(self, site: str, wish: Wish, person: Person) -> int:
        if not wish.group:
            return person.gid
        if wish.group not in self.register.group_ids:
            return self._remembered(site, wish).gid
        gid = self.register.group_ids[wish.group]
        if gid is None:
            raise NoIdentity("group", f"there is no group {wish.group!r}")
        return gid

    def _remembered(self, site: str, wish: Wish) -> Identity:
        """Return who the site, or else another site with the same user, ran as before."""
        candidates = [self.known[site]] if site in self.known else []
        if not wish.group:
            candidates += self.known.values()
        for identity in candidates:
            if identity.user == wish.user if wish.user else identity.uid == wish.owner:
                return identity
        who = f"user {wish.user!r}" if wish.user else f"the user with uid {wish.owner}"
        raise NoIdentity("user", f"{who} could not be looked up within {self.limit:g} s")

    def _own(self, wish: Wish) -> Identity:
        """Return our own identity: who is not root can run sites as nobody else."""
        caller = self.caller
        us = self.register.owners.get(caller.uid) or Person(
            str(caller.uid), caller.uid, caller.gid, os.environ.get("HOME", "/"), "/bin/sh"
        )
        rule = f"must be {us.name!r}, because linodmgr does not run as root"
        if wish.user and wish.user != us.name:
            raise NoIdentity("user", f"{rule}, got {wish.user!r}")
        if not wish.user and wish.owner != caller.uid:
            raise NoIdentity("user", f"{rule}, but the directory belongs to uid {wish.owner}")
        if wish.group and self.register.group_ids.get(wish.group) != caller.gid:
            raise NoIdentity(
                "group", f"must be our own group, because linodmgr does not run as root, got {wish.group!r}"
            )
        groups = tuple(sorted(set(os.getgroups()) - {caller.gid}))
        return Identity(us.name, caller.uid, caller.gid, groups, us.home, us.shell)


def _nobody(wish: Wish) -> str:
    if wish.user:
        return f"there is no user {wish.user!r}"
    return f"cannot be told: the owner, uid {wish.owner}, has no name here: {SAY}"
