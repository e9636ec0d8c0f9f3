"""A controller of the kernel, such as memory, put at the disposal of the workers' groups."""

import logging
import os
from collections.abc import Iterator

from linodmgr import cgroups
from linodmgr.daemon.cgroup import Cgroup

log = logging.getLogger(__name__)

MOVES = 10  # attempts to move all, who may be starting others


class Controller:
    """Tries once to enable it for the groups below ``base``; ``is_there`` tells whether that was possible."""

    def __init__(self, name: str, base: str) -> None:
        self.is_there = False
        self._name = name.encode()
        try:
            for path in _levels(base):
                self._enable(Cgroup(path))
            self.is_there = self._name in Cgroup(base).read("cgroup.subtree_control").split()
        except OSError as error:
            log.info("the kernel does not limit %s for us: %s", name, error.strerror)

    def _enable(self, group: Cgroup) -> None:
        """Let the groups below this one have it. Raises OSError."""
        if self._name not in group.read("cgroup.controllers").split():
            return
        if self._name in group.read("cgroup.subtree_control").split():
            return
        # A group with processes of its own cannot hand over controllers, but the root of all can.
        if group.read("cgroup.type"):
            _move_down(group)
        group.limit("cgroup.subtree_control", b"+" + self._name)


def _levels(base: str) -> Iterator[str]:
    """Yield the groups that are ours to change, from above: those that we have made, or our own."""
    parent = os.path.dirname(base)
    if os.path.basename(parent) == "linodmgr":
        yield os.path.dirname(parent)
        yield parent
    yield base


def _move_down(group: Cgroup) -> None:
    """Move those who are in a group, we among them, into one below it. Raises OSError."""
    leaf = Cgroup(os.path.join(group.path, cgroups.LEAF))
    for _ in range(MOVES):
        pids = group.read("cgroup.procs").split()
        if not pids:
            return
        if not os.path.isdir(leaf.path):
            leaf.make()
        for pid in pids:
            try:
                leaf.take(int(pid))
            except ProcessLookupError:  # it has ended
                continue
