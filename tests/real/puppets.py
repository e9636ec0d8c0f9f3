"""Workers that say to the daemon whatever a test wants, under the daemon's own loop and report socket."""

import contextlib
import os
import pwd
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from msgspec.structs import replace

from linodmgr import cgroups
from linodmgr.core import shown
from linodmgr.core.site import Identity, Policy, Site
from linodmgr.core.states import Event, Goal, Wanted
from linodmgr.core.worker import pid_of
from linodmgr.daemon.contain import Contain
from linodmgr.daemon.history import History, own_directory
from linodmgr.daemon.jobs import JobBook
from linodmgr.daemon.keep import Locks
from linodmgr.daemon.lines import listen
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.processes import LinuxProcesses
from linodmgr.daemon.reports import Reports
from tests.eventually import eventually
from tests.real.daemon_fixture import printed
from tests.real.loop_thread import LoopThread, loop_thread

PATIENT = Policy(settle=60.0, start_timeout=60.0, good_run=60.0, backoff_max=60.0)

# What stands before each play. No site-packages, so that it starts quickly.
PROLOGUE = """\
#!{python} -IS
import os, signal, socket, sys
report = next(a.partition("=")[2] for a in sys.argv if a.startswith("--report="))

def connect():
    global daemon
    daemon = socket.socket(socket.AF_UNIX)
    daemon.connect(report)

def say(*lines):
    daemon.sendall(b"".join(line.encode() + b"\\n" for line in lines))

def wait_for_go():
    assert b"go" in daemon.recv(1000)

def wait():
    while True:
        signal.pause()

HELLO = '{{"type":"hello","version":1}}'
READY = '{{"type":"ready"}}'
IDLE = '{{"type":"idle","reason":"no jobs"}}'
"""


class Theatre:
    """The daemon's loop, processes and report socket, and sites whose workers are plays."""

    def __init__(self, thread: LoopThread, home: Path, gathered_for: float = 60.0) -> None:
        self.thread = thread
        self.home = home
        self.report = home / "report"
        for name in ("log", "locks"):
            (home / name).mkdir()
        self.logs = Logs(home / "log", home / "output")
        self.processes = LinuxProcesses(
            home,
            self.report,
            Locks(home / "locks"),
            self.logs,
            (1024, 4096),
            Contain(cgroups.find(home), home),
        )
        self.loop = thread.do(Loop, self.processes, 0)
        self.history = History(own_directory(home), gathered_for)
        self.book = JobBook(self.loop, self.history, self.logs)
        self.reports = thread.do(
            lambda: Reports(self.loop, listen(self.report, 0o666, None), self.book, self.logs, "/nowhere")
        )

    def add(self, name: str, play: str, policy: Policy = PATIENT, uid: int | None = None) -> None:
        """Take in a site, ours or of ``uid``, whose worker does what ``play`` says, in Python."""
        python = self.home / name / "env" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(PROLOGUE.format(python=sys.executable) + play)
        python.chmod(0o755)
        who = pwd.getpwuid(os.geteuid() if uid is None else uid)
        user = Identity(who.pw_name, who.pw_uid, who.pw_gid, (), who.pw_dir, who.pw_shell)
        site = Site(name=name, directory=str(self.home / name), identity=user, policy=policy)
        self.thread.do(self.loop.add, site)

    def limit(self, name: str, **limits: object) -> None:
        """Let a site have another ``watchdog``, ``job_timeout`` and the like."""
        site = self.thread.do(lambda: self.loop.sites[name])
        self.thread.do(self.loop.add, replace(site, **limits))

    def perform(self, name: str, play: str, policy: Policy = PATIENT) -> None:
        """Take in a site and start it."""
        self.add(name, play, policy)
        self.put(name, Wanted(Goal.UP))

    def put(self, name: str, event: Event) -> None:
        """Let something happen to a site."""
        self.thread.do(self.loop.put, name, event)

    def word(self, name: str) -> str:
        """Return the state of a site."""
        return self.thread.do(lambda: shown.word(self.loop.fleet[name]))

    def reason(self, name: str) -> str:
        """Return why it is so."""
        return self.thread.do(self.loop.reason, name)

    def pid(self, name: str) -> int | None:
        """Return the pid of a site's worker."""
        return self.thread.do(lambda: pid_of(self.loop.fleet[name]))

    def until(self, name: str, word: str) -> None:
        """Wait until a site is in this state."""
        try:
            eventually(lambda: self.word(name) == word, f"{name} is {word}")
        except AssertionError as error:
            raise AssertionError(
                f"{error}: {self.word(name)} {self.reason(name)}\n{self.output(name)}"
            ) from error

    def until_ended(self, name: str) -> None:
        """Wait until a site has no process any more."""
        eventually(lambda: self.pid(name) is None, f"{name} has ended")

    def output(self, name: str) -> str:
        """Return what a worker has printed."""
        return printed(self.home / "log" / f"{name}.log")

    def connect(self) -> socket.socket:
        """Return a connection of a stranger, which the tests are."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(20.0)
        connection.connect(str(self.report))
        return connection

    def end(self) -> None:
        """Stop everybody."""
        names = self.thread.do(lambda: list(self.loop.fleet))
        descendants = _descendants(self.thread.do(lambda: list(self.loop.pids())))
        for name in names:
            self.put(name, Wanted(Goal.DOWN))
        eventually(lambda: not self.thread.do(lambda: list(self.loop.pids())), "all have ended")
        self.thread.do(self.reports.close)
        self.thread.do(self.book.close)
        self.thread.do(self.history.close)
        self.thread.do(self.processes.close)
        _, alive = psutil.wait_procs(descendants, timeout=10)
        assert not alive


def _descendants(pids: list[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += psutil.Process(pid).children(recursive=True)
    return found


@contextlib.contextmanager
def theatre(home: Path, gathered_for: float = 60.0) -> Iterator[Theatre]:
    """Yield a theatre that is cleared afterwards; quiet runs are written every ``gathered_for`` seconds."""
    with loop_thread() as thread:
        made = Theatre(thread, home, gathered_for)
        try:
            yield made
        finally:
            made.end()
