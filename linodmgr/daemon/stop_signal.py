"""Sends the stop signal so that Python hears it: to the main thread, where its handlers run."""

import contextlib
import signal

from linodmgr.daemon import libc


def send(pid: int, pidfd: int, number: int) -> None:
    """Send the signal ``number`` to the main thread of a process. Raises ProcessLookupError if it has ended.

    Linux gives a signal that is for the process to whichever thread comes first: one that starts another
    thread while the main one is not running yet. A Python whose main thread sleeps does not hear of that
    until it wakes. Who keeps the signal from its main thread waits for it in another one.
    """
    if _main_thread_takes(pid, number):
        signal.pidfd_send_signal(pidfd, 0)  # the pid is still that of this process
        with contextlib.suppress(OSError):  # another C library
            if libc.call("tgkill", pid, pid, number) == 0:
                return
    signal.pidfd_send_signal(pidfd, number)


def _main_thread_takes(pid: int, number: int) -> bool:
    """Whether it lives and does not block the signal, proc_pid_status(5)."""
    fields = {}
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        fields = dict(line.split(b":", 1) for line in file.read().splitlines() if b":" in line)
    if b"SigBlk" not in fields or fields[b"State"].strip()[:1] in (b"Z", b"X"):
        return False
    return not int(fields[b"SigBlk"], 16) >> (number - 1) & 1
