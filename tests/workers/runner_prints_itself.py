"""Writes what a script can see of itself as JSON into the file that it is given."""

import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading

import __main__


class Thing:
    pass


def double(number: int) -> int:
    return 2 * number


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        doubled = pool.map(double, [1, 2])
    seen = {
        "argv": sys.argv,
        "orig_argv": getattr(sys, "orig_argv", [None])[1:],
        "path": sys.path,
        "file": os.path.abspath(__file__),
        "name": __name__,
        "doc": __doc__,
        "globals": sorted(globals()),
        "loader": type(globals()["__loader__"]).__name__,
        "source": globals()["__loader__"].get_source("__main__") is not None,
        "spec": repr(__spec__),
        "package": repr(__package__),
        "builtins": repr(__builtins__),
        "main": __main__.__dict__ is globals(),
        "main module": sys.modules["__main__"] is __main__,
        "pickled": type(pickle.loads(pickle.dumps(Thing()))) is Thing,
        "pickled as": Thing.__module__,
        "doubled": doubled,
        "directory": os.getcwd(),
        "environment": {name: os.environ[name] for name in sorted(os.environ) if name not in ("_", "PWD")},
        "threads": [thread.name for thread in threading.enumerate()],
        "handlers": [repr(signal.getsignal(number)) for number in (1, 2, 13, 15)],
        "signal": [signal.signal.__name__, signal.signal.__module__, signal.signal.__doc__],
        "encoding": [sys.stdin.encoding, sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors],
        "streams": [sys.stdout.name, sys.stdout is sys.__stdout__, sys.stdout.mode, sys.stderr.fileno()],
        "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__],
        "flags": repr(sys.flags),
    }
    with open(sys.argv[1], "w") as file:
        json.dump(seen, file)
