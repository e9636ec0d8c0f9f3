"""One control group of version 2: who is in it, its end, and the word that it is empty. See cgroups(7)."""

import asyncio
import contextlib
import errno
import os
import select
import signal
from collections.abc import Callable

ROUNDS = 10  # of killing where the kernel (before 5.14) has no cgroup.kill
AGAIN = 0.1  # seconds until these are repeated
READ_AT_ONCE = 65536


class Cgroup:
    """A directory; its processes and those that they start cannot leave it by themselves."""

    def __init__(self, path: str) -> None:
        self.path = path

    def make(self) -> None:
        """Make the directory, and those above that are missing. Raises OSError."""
        try:
            os.mkdir(self.path, 0o755)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), 0o755, exist_ok=True)
            os.mkdir(self.path, 0o755)

    def take(self, pid: int) -> None:
        """Move a process in. Raises OSError."""
        self._write("cgroup.procs", b"%d" % pid)

    def pids(self) -> list[int]:
        """Return its processes, and those in groups below it."""
        found = [int(pid) for pid in self.read("cgroup.procs").split()]
        for below in self._below():
            found += below.pids()
        return found

    def is_empty(self) -> bool:
        """Whether no process lives in it; zombies do not count. One that is gone is empty."""
        try:
            return b"populated 1" not in self._text("cgroup.events")
        except OSError as error:  # who cannot be asked, for want of a descriptor or of memory, may live
            return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV)

    def kill(self) -> None:
        """Send SIGKILL to all, also to those that are just being born.

        What is moved into it later may be killed as well, so it must not be used again.
        """
        try:
            self._write("cgroup.kill", b"1")
        except FileNotFoundError:
            self.kill_each()
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.EOPNOTSUPP):  # it has been removed; it is threaded
                raise

    @property
    def kills_at_once(self) -> bool:
        """Whether one kill is enough."""
        return os.path.exists(f"{self.path}/cgroup.kill")

    def kill_each(self) -> None:
        """Send SIGKILL to one after the other, while none of them can go on."""
        with contextlib.suppress(OSError):
            self._write("cgroup.freeze", b"1")
        for _ in range(ROUNDS):
            pids = self.pids()
            for pid in pids:
                # One that sudo has started belongs to another user, where we are not root.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if not pids:
                break
        with contextlib.suppress(OSError):
            self._write("cgroup.freeze", b"0")

    def read(self, name: str) -> bytes:
        """Return one of its files, empty if it is not there or cannot be read."""
        with contextlib.suppress(OSError):
            return self._text(name)
        return b""

    def limit(self, name: str, value: bytes) -> None:
        """Set one of its limits. Raises OSError."""
        self._write(name, value)

    def remove(self) -> bool:
        """Remove it with all that is below; return whether it is gone."""
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            return True
        except OSError:
            for below in self._below():
                below.remove()
            try:
                os.rmdir(self.path)
            except OSError:
                return False
        return True

    def _below(self) -> list["Cgroup"]:
        with contextlib.suppress(OSError), os.scandir(self.path) as entries:
            return [Cgroup(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        return []

    def _text(self, name: str) -> bytes:
        """Return one of its files. Raises OSError."""
        text = b""
        descriptor = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(descriptor, READ_AT_ONCE):
                text += piece
        finally:
            os.close(descriptor)
        return text

    def _write(self, name: str, value: bytes) -> None:
        descriptor = os.open(f"{self.path}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value)
        finally:
            os.close(descriptor)


class Emptying:
    """Tells when groups that were killed are empty. The kernel wakes us up; nothing is polled."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._waiting: dict[int, tuple[Cgroup, Callable[[], None]]] = {}  # by descriptor
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def wait(self, group: Cgroup, empty: Callable[[], None]) -> None:
        """Call ``empty`` once nothing lives in ``group``: at once if nothing does. Raises OSError."""
        try:
            events = os.open(f"{group.path}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            empty()
            return
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)
        os.pread(events, READ_AT_ONCE, 0)  # changes are told from here on
        self._epoll.register(events, select.EPOLLPRI)
        self._waiting[events] = (group, empty)
        if not self._is_over(events) and not group.kills_at_once:
            self._kill_again(events)

    def close(self) -> None:
        """Tell nothing any more."""
        for events in list(self._waiting):
            self._forget(events)
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _look(self) -> None:
        if self._epoll is not None:
            for events, _ in self._epoll.poll(0):
                if events in self._waiting:
                    self._is_over(events)

    def _is_over(self, events: int) -> bool:
        """Return whether one of those waited for is empty; say so."""
        try:
            text = os.pread(events, READ_AT_ONCE, 0)
        except OSError:  # it was removed
            text = b""
        if b"populated 1" in text:
            return False
        _, empty = self._waiting[events]
        self._forget(events)
        empty()
        return True

    def _forget(self, events: int) -> None:
        assert self._epoll is not None
        self._epoll.unregister(events)
        os.close(events)
        del self._waiting[events]
        if timer := self._timers.pop(events, None):
            timer.cancel()

    def _kill_again(self, events: int) -> None:
        self._waiting[events][0].kill_each()
        self._timers[events] = asyncio.get_running_loop().call_later(AGAIN, self._kill_again, events)
