"""Says ready, starts a child in a session of its own that outlives it, and ends with 1."""

import subprocess
import sys

child = subprocess.Popen(
    [sys.executable, "-c", "import signal\nwhile True: signal.pause()"],
    start_new_session=True,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
print(f"child {child.pid}", flush=True)
print("ready", flush=True)
sys.exit(1)
