"""How the daemon ends a child of its own: without ever waiting for one that hangs in the kernel."""

import contextlib
import subprocess

END_WITHIN = 0.2  # seconds, after SIGKILL


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a child; whom that does not end at once, whoever reaps orphans will see."""
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_WITHIN)
