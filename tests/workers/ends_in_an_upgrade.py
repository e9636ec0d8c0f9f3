"""Says ready, waits until its daemon executes the next one, says some last words and ends."""

import os
import threading

print("ready", flush=True)
while True:
    with open(f"/proc/{os.getppid()}/cmdline", "rb") as file:
        if b"--take-over" in file.read():
            print("last words", flush=True)
            os._exit(1)
    threading.Event().wait(0.001)
