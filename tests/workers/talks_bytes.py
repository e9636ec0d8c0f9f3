"""Prints bytes that are no text, a line without an end and a very long one, then waits for ever."""

import os
import signal

os.write(1, b"\xff\xfe no text \x00\x1b[31m red\n")
os.write(2, b"x" * 200_000 + b"\n")
os.write(1, b"ready\nno end of line")
while True:
    signal.pause()
