"""The stacks of hanging workers: asked for, and read from the log once the worker has ended."""

import contextlib
import os

from linodmgr.core.job import Hang
from linodmgr.daemon import stacks
from linodmgr.daemon.logs import Logs
from linodmgr.daemon.loop import Loop
from linodmgr.launch import venv_of


class Dumps:
    """Where in which log the stacks of which worker begin."""

    def __init__(self, loop: Loop, logs: Logs, runner_dir: str) -> None:
        self._loop = loop
        self._logs = logs
        self._runner_dir = runner_dir
        self.begins: dict[int, int] = {}  # by the worker's pid

    def ask(self, name: str, worker: int, speaker: int, signal_number: int) -> None:
        """Make the process ``speaker`` of a worker write its stacks, by the signal that it told."""
        if not signal_number:
            return
        self.begins[worker] = self._logs.size(name)
        with contextlib.suppress(OSError):
            if os.getsid(speaker) == worker:  # it is still the process that told us of the signal
                os.kill(speaker, signal_number)

    def forget(self, worker: int) -> int | None:
        """Return where the stacks of a worker that has ended begin, if they were asked for."""
        return self.begins.pop(worker, None)

    def where(self, name: str, hang: Hang, begin: int | None) -> str:
        """Return in which line of a site it hung, as its log says since ``begin``; empty if it does not."""
        if begin is None:
            return ""
        site = self._loop.sites[name]
        place = stacks.Place(site.directory, venv_of(site), self._runner_dir)
        text = self._logs.text(name, begin, stacks.READ_LIMIT)
        return stacks.where(text, hang.thread, place)
