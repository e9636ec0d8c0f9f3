"""Says ready once its family is there, whose kind is in $FAMILY, and waits for ever."""

import os
import select
import signal
import sys
from collections.abc import Callable


def wait() -> None:
    while True:
        signal.pause()


def pause(seconds: float) -> None:
    select.select([], [], [], seconds)


def child(life: Callable[[], None]) -> None:
    """Start a process that lives its life and never comes back."""
    if os.fork() == 0:
        try:
            life()
        finally:
            os._exit(0)


def in_its_own_session() -> None:
    os.setsid()
    wait()


def twice_removed() -> None:
    os.setsid()
    child(wait)


def deaf() -> None:
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    wait()


def stopped() -> None:
    os.setsid()
    os.kill(os.getpid(), signal.SIGSTOP)


def chatty() -> None:
    os.setsid()
    while True:
        os.write(1, b"x" * 1000 + b"\n")
        pause(0.001)


def relay() -> None:
    """Each runs a moment, and leaves another one behind."""
    while True:
        os.setsid()
        pause(0.002)
        if os.fork():
            os._exit(0)


def fertile() -> None:
    """Many that do not live long, again and again."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.setsid()
    while True:
        child(lambda: pause(0.05))
        pause(0.001)


def nameless() -> None:
    os.setsid()
    if os.fork() == 0:
        with open("nameless", "w") as file:
            print(os.getpid(), file=file)
        os.execve("/bin/sleep", ["sleep", "100000"], {})


LIVES = {
    "session": in_its_own_session,
    "twice": twice_removed,
    "deaf": deaf,
    "stopped": stopped,
    "chatty": chatty,
    "relay": relay,
    "fertile": fertile,
    "crowd": wait,
    "nameless": nameless,
}

if __name__ == "__main__":
    kind = os.environ["FAMILY"]
    for _ in range(200 if kind == "crowd" else 1):
        child(LIVES[kind])
    print("ready", flush=True)
    sys.stdout.flush()
    wait()
