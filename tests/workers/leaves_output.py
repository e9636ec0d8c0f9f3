"""Ends with 1 after a moment; a grandchild in a session of its own holds its output."""

import os
import signal
import threading

if os.fork() == 0:
    os.setsid()
    while True:
        signal.pause()
print("ready", flush=True)
threading.Event().wait(0.7)
os._exit(1)
