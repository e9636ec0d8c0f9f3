"""Writes what it sees of itself into `seen.json` next to it, then waits for ever."""

import json
import os
import signal

umask = os.umask(0)
os.umask(umask)
seen = {
    "uid": os.getresuid(),
    "gid": os.getresgid(),
    "groups": sorted(os.getgroups()),
    "umask": umask,
    "environment": dict(os.environ),
    "directory": os.getcwd(),
    "session": os.getsid(0) == os.getpid(),
    "ignored": sorted(number.name for number in signal.Signals if signal.getsignal(number) is signal.SIG_IGN),
    "blocked": sorted(signal.Signals(number).name for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "descriptors": {
        number: os.readlink(f"/proc/self/fd/{number}")
        for number in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{number}") or number in "012"
    },
}
with open("seen.part", "w") as file:
    json.dump(seen, file)
os.rename("seen.part", "seen.json")
print("ready", flush=True)
while True:
    signal.pause()
