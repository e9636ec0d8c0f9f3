"""Watches all the time, and trusts only /proc, locks of its own and what the workers have stamped."""

import threading
import time
from dataclasses import dataclass, field

from tests.chaos.world import NOWHERE, World, is_alive

EVERY = 0.1  # seconds
BACK_WITHIN = (
    30.0  # seconds; workers that die at once wait for at most 1.5 s, a start takes a part of a second
)


@dataclass(slots=True)
class Life:
    """One worker that has stamped its begin."""

    pid: int
    started: str
    seen: float  # last seen alive, monotonic
    died: float | None = None  # first seen dead


@dataclass(slots=True)
class File:
    """The stamps of one site."""

    lives: list[Life] = field(default_factory=list)
    offset: int = 0


class Judge:
    """Finds what must never be: two workers of a site, one under a hold, a site that does not come back."""

    def __init__(self, world: World) -> None:
        self.violations: list[str] = []
        self.sites = {name: File() for name in world.sites}
        self.looks = 0
        self._world = world
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="judge")

    def begin(self) -> None:
        """Watch from now on."""
        self._thread.start()

    def end(self) -> None:
        """Watch no more."""
        self._over.set()
        self._thread.join()
        self.look()

    def accuse(self, what: str) -> None:
        """Note a violation."""
        self.violations.append(f"{time.monotonic():.3f}: {what}")

    def look(self) -> None:
        """Look once at everything."""
        self.looks += 1
        now = time.monotonic()
        for name, file in self.sites.items():
            self._read(name, file)
            alive = [life for life in file.lives if life.died is None and self._is_alive(life, now)]
            if len(alive) > 1:
                pids = ", ".join(str(life.pid) for life in alive)
                self.accuse(f"{name}: {len(alive)} workers at the same time: {pids}")
            self._is_back(name, file, now)
            self._is_held(name, alive)

    def _watch(self) -> None:
        while not self._over.wait(EVERY):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - whatever it is, it must be known
                self.accuse(f"the judge cannot look: {error!r}")

    def _read(self, name: str, file: File) -> None:
        try:
            with open(self._world.home / "stamps" / name, encoding="ascii") as stream:
                stream.seek(file.offset)
                text = stream.read()
        except FileNotFoundError:
            return
        whole = text.rpartition("\n")[0]
        file.offset += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            word, pid, started = line.split()
            if word == "double":
                self.accuse(f"{name}: pid {pid} began while another worker held its lock")
            else:
                file.lives.append(Life(int(pid), started, time.monotonic()))

    @staticmethod
    def _is_alive(life: Life, now: float) -> bool:
        if is_alive(life.pid, life.started):
            life.seen = now
            return True
        life.died = now
        return False

    def _is_back(self, name: str, file: File, now: float) -> None:
        """Accuse a site that is wanted and has not been there for too long."""
        one = self._world.sites[name]
        if one.wanted is not True:
            return
        last = max([one.since, *(life.seen for life in file.lives[-3:]), *self._world.troubles[-1:]])
        last = max([last, *(back for _dead, back in self._world.outages[-1:])])
        if now - last > BACK_WITHIN and self._world.daemon_turn.acquire(blocking=False):
            self._world.daemon_turn.release()
            self.accuse(f"{name}: wanted, but not there for {now - last:.1f} s")
            one.since = now  # told once

    def _is_held(self, name: str, alive: list[Life]) -> None:
        """Accuse a site that runs while a command holds it."""
        path = self._world.home / "holds" / name
        try:
            pid, started = path.read_text().split()
        except (OSError, ValueError):
            return
        if not alive or not is_alive(int(pid), started):
            return
        for life in alive:
            # The command is looked at once more after the worker: it has not ended in between.
            if is_alive(life.pid, life.started) and is_alive(int(pid), started):
                self.accuse(f"{name}: pid {life.pid} runs while pid {pid} holds it")


def settled(judge: Judge, world: World, limit: float = 60.0) -> None:
    """Wait until each site has a worker, now that nobody disturbs; accuse those that have none."""
    end = time.monotonic() + limit
    missing = set(world.sites)
    while missing and time.monotonic() < end:
        NOWHERE.wait(EVERY)
        now = time.monotonic()
        for name in list(missing):
            lives = judge.sites[name].lives
            if lives and now - lives[-1].seen < 3.0:
                missing.discard(name)
    for name in sorted(missing):
        judge.accuse(f"{name}: wanted, but not there when all was quiet")
