"""linodmgr.service on a machine, as an admin meets it: systemctl, linodmgr, and the files that both leave."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.eventually import eventually
from tests.system.debian import UNIT
from tests.system.machine import Machine

T = TypeVar("T")
CONFIG = "/etc/linodmgr/sites.toml"
DROP_IN = f"/run/systemd/system/{UNIT}.d/test.conf"
PROJECTS = "/srv"
TRACES = (CONFIG, DROP_IN, PROJECTS, "/var/lib/linodmgr", "/var/log/linodmgr")
SAID = ["journalctl", "--boot", f"--unit={UNIT}", "--output=cat", "--no-pager", "--lines=40"]
GROUP = f"/sys/fs/cgroup/system.slice/{UNIT}"
PROCESSES = f"find {GROUP} -name cgroup.procs -exec cat {{}} + 2>/dev/null"
END = f"""\
systemctl stop {UNIT}
for pid in $({PROCESSES}); do tr '\\0' ' ' </proc/$pid/cmdline; done
systemctl kill --signal=KILL {UNIT} 2>/dev/null
systemctl disable --quiet {UNIT}
rm -r -f "$0" "$@"
systemctl daemon-reload
systemctl reset-failed {UNIT} 2>/dev/null || true
"""
LIMIT = 30.0  # seconds on a busy machine


class Service:
    """The service of one test, at first not started and without any site."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def configure(self, text: str) -> None:
        """Write the configuration."""
        self.machine.path(CONFIG).write_text(text)

    def override(self, text: str) -> None:
        """Put ``text`` over the [Service] of the unit, until the end of the test."""
        path = self.machine.path(DROP_IN)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[Service]\n{text}\n")
        self.machine.run("systemctl", "daemon-reload")

    def project(self, name: str) -> Path:
        """Return where the project directory ``name`` of the machine is for us."""
        return self.machine.path(f"{PROJECTS}/{name}")

    def systemctl(self, verb: str, *options: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Return what ``systemctl VERB linodmgr`` did."""
        return self._run("systemctl", verb, *options, UNIT, code=code)

    def linodmgr(
        self, *arguments: str, code: int | None = 0, user: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Return what ``linodmgr *arguments`` did."""
        return self._run("linodmgr", *arguments, code=code, user=user)

    def shows(self, name: str) -> str:
        """Return a property of the unit."""
        return self.systemctl("show", f"--property={name}", "--value").stdout.strip()

    def site(self, name: str) -> dict[str, Any]:
        """Return what ``status --json`` says of one site."""
        [site] = json.loads(self.linodmgr("status", name, "--json", code=None).stdout)["sites"]
        return dict(site)

    def states(self) -> dict[str, str]:
        """Return the state of every site."""
        sites = json.loads(self.linodmgr("status", "--json", code=None).stdout)["sites"]
        return {site["name"]: site["state"] for site in sites}

    def until(self, name: str, state: str) -> dict[str, Any]:
        """Return the status of ``name`` as soon as it is in ``state``."""
        self.eventually(lambda: self.site(name)["state"] == state, f"{name} is {state}")
        return self.site(name)

    def eventually(self, check: Callable[[], T], what: str) -> T:
        """Return what ``check`` returns as soon as it is true; if it never is, tell what the service said."""
        try:
            return eventually(check, what, LIMIT)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}") from error

    def said(self) -> str:
        """Return the last lines of the service's journal."""
        return self.machine.run(*SAID, code=None).stdout

    def processes(self) -> list[int]:
        """Return the pids, as the machine counts, of all processes that systemd knows to be the service's."""
        # Not read by us: it has the pids as the reader counts.
        return [int(line) for line in self.machine.run("sh", "-c", PROCESSES, code=None).stdout.split()]

    def proc(self, pid: int, name: str) -> Path:
        """Return the file ``name`` of a process in /proc."""
        return self.machine.path(f"/proc/{pid}/{name}")

    def end(self) -> None:
        """Stop it, look that nothing of it still runs, and remove its traces."""
        said = self.said()
        left = self.machine.run("sh", "-c", END, *TRACES).stdout
        assert not left, f"still running after a stop: {left}\n{said}"

    def _run(self, *command: str, code: int | None, user: str = "root") -> subprocess.CompletedProcess[str]:
        done = self.machine.run(*command, code=None, user=user)
        assert code in (None, done.returncode), (
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}\n{self.said()}"
        )
        return done
