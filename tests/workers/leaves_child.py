"""Has a child in a session of its own, whose pid is in a file; says ready and waits."""

import os
import signal

child = os.fork()
if child == 0:
    os.setsid()
    while True:
        signal.pause()
with open("child", "w") as file:
    print(child, file=file)
print("ready", flush=True)
while True:
    signal.pause()
