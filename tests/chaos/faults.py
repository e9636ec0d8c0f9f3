"""What happens to the host: each function is one fault, and what it did it has put in order when it ends."""

import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Collection

import psutil

from linodmgr.errors import LinodmgrError
from linodmgr.protocol import Done, Release, Reload, Request, Restart, Start, Stop, Upgrade
from tests.chaos.judge import Judge
from tests.chaos.world import NOWHERE, ChaosSite, World, is_alive, processes_of
from tests.real.daemon_fixture import LINODMGR

GONE_WITHIN = 3.0  # seconds: what is killed needs a moment to be a zombie
HOLDER = (
    "import os, sys, time\n"
    "mine = open('/proc/self/stat').read().rpartition(')')[2].split()[19]\n"
    "for path in sys.argv[1:]:\n"
    "    open(path, 'w').write(f'{os.getpid()} {mine}')\n"
    "time.sleep(0.3)\n"
)


class Faults:
    """One source of faults; several of them work on the same world at the same time."""

    def __init__(self, world: World, judge: Judge, seed: int, disk: bool) -> None:
        self._world = world
        self._judge = judge
        self._chance = random.Random(seed)
        self._kinds: dict[Callable[[], None], int] = {
            self.kill_worker: 25,
            self.freeze_worker: 8,
            self.stop_and_look: 14,
            self.restart_some: 10,
            self.many_clients: 8,
            self.hold_some: 8,
            self.reload_with_changes: 8,
            self.kill_daemon: 8,
            self.freeze_daemon: 5,
            self.upgrade: 6,
            self.starve_of_descriptors: 3,
            self.talk_garbage: 8,
            self.kill_client: 6,
        }
        if disk:
            self._kinds[self.fill_disk] = 3
        self.count = 0
        self.counts: dict[str, int] = {}
        self.last: list[str] = []

    def work(self, until: Callable[[], bool]) -> None:
        """Let faults happen until it is enough."""
        while not until():
            fault = self._chance.choices(list(self._kinds), list(self._kinds.values()))[0]
            self._note(fault.__name__)
            try:
                fault()
            except AssertionError as error:
                self._judge.accuse(f"{fault.__name__}: {error}")
            except Exception as error:  # noqa: BLE001 - the test is wrong, or the daemon
                self._judge.accuse(f"{fault.__name__}: {error!r}")
            self.count += 1
            self.counts[fault.__name__] = self.counts.get(fault.__name__, 0) + 1
            NOWHERE.wait(self._chance.uniform(0, 0.05))

    # Workers.

    def kill_worker(self) -> None:
        """Kill the worker of a site, or stop it by its signal behind the daemon's back."""
        with self._some(1, not_kinds={"jobs"}) as sites:
            for one in sites:
                self._signal(one, self._chance.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)))

    def freeze_worker(self) -> None:
        """Freeze a worker; then let it go on, or have it restarted as it is."""
        with self._some(1, not_kinds={"jobs"}) as sites:
            for one in sites:
                self._signal(one, signal.SIGSTOP)
                if self._chance.random() < 0.5:
                    NOWHERE.wait(0.1)
                    self._signal(one, signal.SIGCONT)
                else:
                    self._world.insist(Restart((one.name,)))

    # Commands.

    def stop_and_look(self) -> None:
        """Stop sites; nothing of them may be left then."""
        with self._some(self._chance.randint(1, 3)) as sites:
            now = self._chance.random() < 0.3 and not any(one.kind == "jobs" for one in sites)
            self._stop(sites, now=now)
            for one in sites:
                self._want(one, Start((one.name,)))

    def restart_some(self) -> None:
        """Restart sites, a few at a time."""
        with self._some(self._chance.randint(1, 6)) as sites:
            if sites:
                self._world.insist(Restart(_names(sites), at_once=self._chance.randint(1, 3)))

    def many_clients(self) -> None:
        """Let several clients want different things at the same time; in the end the site is wanted."""
        with self._some(2) as sites:
            for one in sites:
                one.want(None)
            names = _names(sites)
            requests = [self._chance.choice((Start, Stop, Restart))(names) for _ in range(4)] if names else []
            clients = [threading.Thread(target=self._try, args=(request,)) for request in requests]
            for thread in clients:
                thread.start()
            for thread in clients:
                thread.join()
            for one in sites:
                self._want(one, Start((one.name,)))

    def hold_some(self) -> None:
        """Hold sites for a command; the judge looks that none of them runs meanwhile."""
        with self._some(self._chance.randint(1, 2)) as sites:
            if not sites:
                return
            for one in sites:
                one.want(None)
            what = self._chance.random()
            is_released = what > 0.9  # by hand, in the middle: the judge has nothing to look at
            files = [] if is_released else [str(self._world.home / "holds" / one.name) for one in sites]
            command = [LINODMGR, "hold", *_names(sites), "--", "python3", "-c", HOLDER, *files]
            client = self._client(command)
            if what < 0.3:  # whatever became of it, the hold ends with the command
                NOWHERE.wait(self._chance.uniform(0, 1.0))
                client.kill()
            elif is_released:
                NOWHERE.wait(self._chance.uniform(0, 1.0))
                self._try(Release(_names(sites)))
            client.wait()
            self._wait_for_holders(files)
            for one in sites:
                self._want(one, Start((one.name,)))

    def reload_with_changes(self) -> None:
        """Remove a site, change another, and take the first back."""
        with self._some(2) as sites:
            if len(sites) < 2:
                return
            leaving, changing = sites
            leaving.want(None)
            leaving.is_configured = False
            changing.variant += 1
            self._reload()
            self._nothing_left([leaving], "after it was removed")
            leaving.is_configured = True
            self._reload()
            leaving.want(True)

    # The daemon.

    def kill_daemon(self) -> None:
        """Kill the daemon; a new one comes at once or a little later."""
        self._world.kill_daemon(self._chance.choice((0.0, 0.0, 0.3, 1.0)))

    def freeze_daemon(self) -> None:
        """Freeze the daemon for a while."""
        with self._world.daemon_turn:
            os.kill(self._world.daemon.pid, signal.SIGSTOP)
            NOWHERE.wait(self._chance.uniform(0.05, 1.0))
            os.kill(self._world.daemon.pid, signal.SIGCONT)
            self._world.troubles.append(time.monotonic())

    def upgrade(self) -> None:
        """Let the daemon execute itself anew."""
        with self._world.daemon_turn:
            before = self._world.daemon.pid
            answers = self._world.insist(Upgrade())
            assert isinstance(answers[-1], Done), answers
            assert psutil.Process(before).is_running()
            self._world.troubles.append(time.monotonic())

    def starve_of_descriptors(self) -> None:
        """Let the daemon have hardly a descriptor more than it has."""
        with self._world.daemon_turn:
            pid = self._world.daemon.pid
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            few = len(os.listdir(f"/proc/{pid}/fd")) + self._chance.randint(0, 4)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, before[1]))
            NOWHERE.wait(self._chance.uniform(0.1, 0.6))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            self._world.troubles.append(time.monotonic())

    def fill_disk(self) -> None:
        """Leave no room for the logs for a while."""
        filler = self._world.home / "log" / "_filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while file.write(b"\0" * 1_000_000):
                pass
        NOWHERE.wait(self._chance.uniform(0.1, 0.5))
        with contextlib.suppress(FileNotFoundError):
            filler.unlink()

    # Those who talk.

    def talk_garbage(self) -> None:
        """Say what nobody understands to both sockets, and hang up in the middle."""
        for name in ("control", "report"):
            for _ in range(self._chance.randint(1, 10)):
                with socket.socket(socket.AF_UNIX) as talker, contextlib.suppress(OSError):
                    talker.settimeout(1.0)
                    talker.connect(str(self._world.home / "run" / name))
                    size = self._chance.choice((0, 1, 100, 100_000))
                    talker.sendall(self._chance.choice((b"{", b"\n", b"\0", b"")) + os.urandom(size))

    def kill_client(self) -> None:
        """Kill a client in the middle of a restart."""
        with self._some(1) as sites:
            if sites:
                client = self._client([LINODMGR, "restart", *_names(sites)])
                NOWHERE.wait(self._chance.uniform(0.05, 0.5))
                client.kill()
                client.wait()

    # How it is done.

    def _some(
        self, count: int, not_kinds: Collection[str] = ()
    ) -> "contextlib.AbstractContextManager[list[ChaosSite]]":
        fitting = [name for name, one in self._world.sites.items() if one.kind not in not_kinds]
        return self._world.turn(self._chance.sample(fitting, count))

    def _signal(self, one: ChaosSite, number: int) -> None:
        for life in self._judge.sites[one.name].lives[-1:]:
            if is_alive(life.pid, life.started):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(life.pid, number)
        self._note(f"{signal.Signals(number).name} {one.name}")

    def _stop(self, sites: list[ChaosSite], *, now: bool) -> None:
        for one in sites:
            one.want(None)
        if not sites:
            return
        self._world.insist(Stop(_names(sites), now=now))
        for one in sites:
            one.want(False)
        self._nothing_left(sites, "after a stop")

    def _nothing_left(self, sites: list[ChaosSite], when: str) -> None:
        names = {one.name for one in sites}
        end = time.monotonic() + GONE_WITHIN
        while left := processes_of(names, self._world.home):
            if time.monotonic() > end:
                self._judge.accuse(f"{when}: left is {left}")
                return
            NOWHERE.wait(0.02)

    def _want(self, one: ChaosSite, request: Request) -> None:
        self._world.insist(request)
        one.want(True)

    def _reload(self) -> None:
        with self._world.config_turn:
            self._world.configure()
            self._world.insist(Reload())

    def _try(self, request: Request) -> None:
        with contextlib.suppress(LinodmgrError, OSError):
            self._world.ask(request)

    def _client(self, command: list[str]) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "LINODMGR_CONFIG": str(self._world.daemon.config)}
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)

    def _wait_for_holders(self, files: list[str]) -> None:
        for path in files:
            with contextlib.suppress(OSError, ValueError):
                with open(path, encoding="ascii") as file:
                    pid, started = file.read().split()
                while is_alive(int(pid), started):
                    NOWHERE.wait(0.02)
                os.unlink(path)

    def _note(self, what: str) -> None:
        self.last = [*self.last[-20:], f"{time.monotonic():.3f} {what}"]


def _names(sites: list[ChaosSite]) -> tuple[str, ...]:
    return tuple(one.name for one in sites)
