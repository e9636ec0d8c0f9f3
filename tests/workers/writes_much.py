"""Writes numbered lines as fast as it can, NUL and what is no UTF-8 among them, says ready and waits."""

import os
import signal

NUMBER = int(os.environ["LINES"])
block = bytearray()
for number in range(NUMBER):
    block += b"<%d> %s\0\xff\n" % (number, b"x" * 80)
    if len(block) > 60_000 or number == NUMBER - 1:
        view = memoryview(bytes(block))
        while view:
            view = view[os.write(1, view) :]
        block.clear()
os.write(1, b"ready\n")
while True:
    signal.pause()
