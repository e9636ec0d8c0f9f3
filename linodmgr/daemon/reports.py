"""The socket the runners talk to. Anybody may connect; only the workers are heard."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable
from functools import partial

from linodmgr.core.states import FoundUnhooked
from linodmgr.core.worker import pid_of
from linodmgr.daemon import past
from linodmgr.daemon.dumps import Dumps
from linodmgr.daemon.handover import HandedInquirer, HandedRunner
from linodmgr.daemon.inquiries import Inquiries
from linodmgr.daemon.jobs import JobBook, JobReport
from linodmgr.daemon.life import Life, event, shown
from linodmgr.daemon.lines import peer
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.daemon.pace import Pace
from linodmgr.daemon.runners import RECEIVED_AT_ONCE, Runner
from linodmgr.protocol import encode
from linodmgr.runner_protocol import (
    Hello,
    Idle,
    Inquiry,
    Ready,
    RunNow,
    Stored,
    Unhooked,
    decode_report,
)

log = logging.getLogger(__name__)

ACCEPT_AGAIN = 1.0  # seconds, when there is no descriptor left
CHUNKS_AT_REST = 16  # that are heard at once from somebody who is heard from time to time
CROWD = 100  # who is taken in before something else has its turn
GRACE = 1.0  # seconds between the end of a connection and that of its process
LAST_WORDS = 1024 * 1024  # bytes, more than a socket holds: a child of the dead may go on and on
REAL_TIME = range(signal.SIGRTMIN, signal.SIGRTMAX + 1)  # signals that mean nothing to anybody else


class Reports:
    """All runners that have connected, by the pid of their worker."""

    def __init__(
        self, loop: Loop, listening: socket.socket, book: JobBook, logs: Logs, runner_dir: str = ""
    ) -> None:
        self._loop = loop
        self._listening = listening
        self._book = book
        self._runners: dict[int, Runner] = {}
        self.dumps = Dumps(loop, logs, runner_dir)
        self._pace = Pace(loop, book, self._runner_of)
        self._inquiries = Inquiries(loop.sites.values, self._tell_past)
        loop.last_words = self.end
        loop.write_stacks = self._write_stacks
        book.hear_first = self._hear_waiting
        book.run_now, book.unhooked = self.run_now, self.unhooked
        self._listen()

    def end(self, pid: int, status: int | None) -> None:
        """Hear what the runner of a dead worker still said, then forget it.

        A short-lived one may wait to be accepted when its end is seen.
        """
        name = self._loop.name_of(pid)
        if name is None:
            return
        if pid not in self._runners:
            self._accept()
        if runner := self._runners.get(pid):
            self._release(name, runner)
            self._drain(pid, runner)
            self._release(name, runner)  # should it have said hello only now
            self._forget(pid)
        begin = self.dumps.forget(pid)
        self._book.worker_ended(name, status, lambda hang: self.dumps.where(name, hang, begin))

    def run_now(self, name: str, job: str, token: str) -> bool:
        """Tell the runner of a site to run a job; return whether there is one that listens."""
        runner = self._runner_of(name)
        if runner is None or runner.connection is None:
            return False
        runner.wake()
        runner.send(encode(RunNow(job, token)))
        return True

    def unhooked(self, name: str) -> str:
        """Return why no hook fits the worker of a site, empty if one may."""
        runner = self._runner_of(name)
        return runner.unhooked if runner else ""

    def hand_over(self) -> tuple[list[HandedRunner], list[HandedInquirer]]:
        """Return all who are connected."""
        return [runner.hand_over() for runner in self._runners.values()], self._inquiries.hand_over()

    def take_over(self, runners: Iterable[HandedRunner], inquirers: Iterable[HandedInquirer]) -> None:
        """Go on with those whom an earlier daemon listened to. The workers and their jobs are known."""
        for handed in runners:
            pid = handed.worker
            runner = self._runners[pid] = Runner(pid)
            runner.take_over(handed, partial(self._listen_to, pid, runner))
            if runner.connection is None:
                self._lose(runner)
            elif name := self._loop.name_of(pid):
                self._pace.settle(name)
        self._inquiries.take_over(inquirers)

    def close(self) -> None:
        """Serve nobody any more."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        self._inquiries.close()
        for pid in list(self._runners):
            self._forget(pid)
        self._pace.close()

    def _accept(self) -> None:
        """Take in those who wait."""
        try:
            for _ in range(CROWD):
                self._welcome(self._listening.accept()[0])
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("cannot accept a runner, trying again in %g s: %s", ACCEPT_AGAIN, error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listening)
            loop.call_later(ACCEPT_AGAIN, self._listen)

    def _listen(self) -> None:
        if self._listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _welcome(self, connection: socket.socket) -> None:
        speaker, uid = peer(connection)
        pid = _worker(self._loop, speaker)
        if pid is None:
            self._inquiries.welcome(connection, uid)
            return
        runner = self._runners.setdefault(pid, Runner(pid))
        if runner.connection is not None or runner.garbled:
            connection.close()
            return
        runner.connect(connection, speaker, lambda: self._listen_to(pid, runner))

    def _listen_to(self, pid: int, runner: Runner) -> None:
        """Hear what there is, as far as others do not have to wait for their turn."""
        for _ in range(CHUNKS_AT_REST if runner.ear else 1):
            if not self._receive(pid, runner):
                return
        if runner.can_wait:
            runner.rest(self._pace.ear)

    def _receive(self, pid: int, runner: Runner) -> bool:
        """Turn what a runner said into events; return whether there was anything."""
        name = self._loop.name_of(pid)
        data = None if name is None else runner.receive()
        if name is None or data is None:
            return False
        try:
            for line in runner.lines.feed(data):
                self._hear(name, runner, line)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            self._stop_hearing(name, runner, error)
            return False
        if data:
            runner.charge(len(data))
            return True
        self._lose(runner)
        return False

    def _hear(self, name: str, runner: Runner, line: bytes) -> None:
        """Take in one line. Raises ValueError."""
        if runner.held is not None:
            runner.held.append(line)
            return
        report = decode_report(line)
        if isinstance(report, JobReport):
            self._book.hear(name, report, lambda run: runner.send(encode(Stored(run))))
        elif not isinstance(report, Inquiry):
            self._hear_of_life(name, runner, report)

    def _hear_of_life(self, name: str, runner: Runner, report: Life) -> None:
        if isinstance(report, Unhooked) and not runner.unhooked:
            runner.unhooked = shown(report.reason) or "no hook fits"
            log.warning("%s: runs unhooked: %s", name, runner.unhooked)
        self._loop.put(name, event(report))
        if isinstance(report, Ready):
            self._book.ready(name)
            self._pace.began(name)
        elif isinstance(report, Idle):
            self._book.rest(name)
        elif isinstance(report, Hello) and not runner.greeted:
            runner.greeted = True
            runner.stacks = report.stacks if report.stacks in REAL_TIME else 0
            if report.resumed:
                runner.send(encode(self._book.go(name)))
            else:
                runner.hold()
                self._book.recall(name, lambda: self._let_go(name, runner))

    def _let_go(self, name: str, runner: Runner) -> None:
        """Tell a runner what is known of the past, and to begin; hear what it has said meanwhile."""
        if runner.held is None or name not in self._loop.sites:  # it has ended
            return
        for line in past.lines(self._book.past(name)):
            runner.send(line)
        runner.send(encode(self._book.go(name)))
        self._release(name, runner)

    def _release(self, name: str, runner: Runner) -> None:
        try:
            for line in runner.release():
                self._hear(name, runner, line)
        except (ValueError, RecursionError) as error:
            self._stop_hearing(name, runner, error)

    def _stop_hearing(self, name: str, runner: Runner, error: Exception) -> None:
        log.warning("%s: its runner is no longer heard: %s", name, error)
        runner.garbled = True
        self._lose(runner)

    def _lose(self, runner: Runner) -> None:
        """Hang up on a runner; it may be about to end."""
        runner.hang_up()
        if runner.lost is not None:
            runner.lost.cancel()
        runner.lost = asyncio.get_running_loop().call_later(GRACE, self._give_up, runner.worker)

    def _hear_waiting(self, name: str) -> None:
        """Hear what the runner of a site has said and nobody has read yet."""
        if runner := self._runner_of(name):
            if runner.paused:
                self._book.of(name).heard = self._loop.instants()[1]
            self._drain(runner.worker, runner)

    def _drain(self, pid: int, runner: Runner) -> None:
        for _ in range(LAST_WORDS // RECEIVED_AT_ONCE):
            if not self._receive(pid, runner):
                break

    def _tell_past(self, name: str, then: Callable[[Iterable[bytes]], None]) -> None:
        self._book.recall(name, lambda: then(past.lines(self._book.past(name))))

    def _write_stacks(self, pid: int) -> None:
        """Make the runner of a worker write its stacks; a second later it is killed."""
        name, runner = self._loop.name_of(pid), self._runners.get(pid)
        if name is not None and runner is not None:
            self.dumps.ask(name, pid, runner.pid, runner.stacks)

    def _runner_of(self, name: str) -> Runner | None:
        if name not in self._loop.fleet:
            return None
        return self._runners.get(pid_of(self._loop.fleet[name]) or 0)

    def _give_up(self, pid: int) -> None:
        """Expect no READY any more from a runner that has gone while its site goes on."""
        runner, name = self._runners[pid], self._loop.name_of(pid)
        if name is not None and runner.connection is None:
            self._loop.put(name, FoundUnhooked())

    def _forget(self, pid: int) -> None:
        runner = self._runners.pop(pid)
        runner.hang_up()
        if runner.lost is not None:
            runner.lost.cancel()


def _worker(loop: Loop, pid: int) -> int | None:
    """Return the pid of the worker that ``pid`` is, or whose session it is in.

    A virtualenv's python may be a script that starts the real one as its child.
    """
    if loop.name_of(pid) is not None:
        return pid
    try:
        leader = os.getsid(pid)
    except OSError:
        return None
    return leader if loop.name_of(leader) is not None else None
