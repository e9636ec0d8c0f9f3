"""Says ready and waits for ever; the stop signal ends it."""

import signal

print("ready", flush=True)
while True:
    signal.pause()
