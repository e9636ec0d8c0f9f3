"""Starts a child in its own group that ignores SIGTERM, as it does itself, and waits for ever."""

import signal
import subprocess

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
child = subprocess.Popen(["sleep", "100000"])
print(f"child {child.pid}", flush=True)
print("ready", flush=True)
while True:
    signal.sigwait({signal.SIGUSR1})
