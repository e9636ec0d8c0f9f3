"""Says ready and waits; a grandchild in a session of its own, which heeds no SIGTERM, waits with it."""

import os
import signal

if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    while True:
        signal.pause()
os.wait()
print("ready", flush=True)
while True:
    signal.pause()
