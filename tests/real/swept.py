"""A sweep, what is to be ended by it, and what it has told."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from functools import partial

from linodmgr.daemon import kin
from linodmgr.daemon.contain import Room
from linodmgr.daemon.starts import Start
from linodmgr.daemon.sweep import Sweep
from tests.real.loop_thread import LoopThread

TURNS = 50  # of the loop; a pass that goes on has looked at somebody by then


class Counted(Sweep):
    """Counts whom it looks at."""

    looked = 0

    def look(self, pid: int) -> None:
        """Look, and count it."""
        self.looked += 1
        super().look(pid)


class Swept:
    """A sweep in a loop of its own, and what it has told."""

    def __init__(self, thread: LoopThread) -> None:
        self.over: list[str] = []  # names
        self.thread = thread
        self._sweep = thread.do(Counted)

    def end(self, name: str, pid: int = -1) -> None:
        """Let it end what is left of the start of this name, whose mark is the name; ``pid``: its zombie."""
        found = kin.look(pid)
        self._add(name, pid, found.started if found else 0, -1, is_of_old=False)

    def end_of_old(self, name: str, pid: int, uid: int) -> None:
        """Likewise, of a start of this user whose main process, of this pid, ended when nobody was there."""
        self._add(name, pid, 1, uid, is_of_old=True)

    def end_badly(self, name: str) -> None:
        """Let it end what is left of a start whose end nobody can be told."""
        start = Start(name, -1, 1, -1, 0, Room(name, name), -1, lambda _pid, _status: None)
        self.thread.do(self._sweep.add, start, lambda: 1 / 0)

    def _add(self, name: str, pid: int, started: int, uid: int, *, is_of_old: bool) -> None:
        start = Start(name, pid, started, uid, 0, Room(name, name), -1, lambda _pid, _status: None)
        done = partial(self.over.append, name)
        self.thread.do(partial(self._sweep.add, is_of_old=is_of_old), start, done)

    def finish(self) -> None:
        """Let it do at once what is left to be done."""
        self.thread.do(self._sweep.finish)

    def rests(self) -> bool:
        """Whether it looks at nobody by itself."""
        before = self._sweep.looked
        for _ in range(TURNS):
            self.thread.do(lambda: None)
        return self._sweep.looked == before


@contextlib.contextmanager
def process(mark: str, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Yield what a start of this mark has left."""
    environment = {**os.environ, kin.START: mark}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as left:
        try:
            yield left
        finally:
            left.kill()
