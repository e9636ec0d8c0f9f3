"""A real daemon for one test, on a configuration and directories of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linodmgr.stamps import without
from tests.eventually import eventually

LINODMGR = str(Path(sys.executable).with_name("linodmgr"))
DIRECTORIES = """\
[daemon]
runtime_dir = "{home}/run"
state_dir = "{home}/state"
log_dir = "{home}/log"
{more}
"""
ENDS_WITHIN = 60.0  # seconds that a daemon may need to stop all its workers
OUTPUT_SHOWN = 4000


class Daemon:
    """``linodmgr start --foreground`` as a child of the tests; `stop` ends it and looks what is left."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "sites.toml"
        self.output = home / "daemon.log"
        self.environment: dict[str, str] = {}  # of the daemon, beside ours
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self.process is not None, "the daemon was not started"
        return self.process.pid

    def configure(self, sites: str, daemon: str = "") -> None:
        """Write the configuration: ``sites`` as TOML after [daemon], which gets ``daemon`` added."""
        text = DIRECTORIES.format(home=self.home, more=daemon) + sites
        part = self.config.with_suffix(".part")
        part.write_text(text)
        part.chmod(0o644)
        part.replace(self.config)

    def start(self, *wrapper: str, environment: dict[str, str] | None = None) -> "Daemon":
        """Start the daemon and wait until it answers; ``wrapper`` goes before its command."""
        self.launch(*wrapper, environment=environment)
        eventually(self._answers, "the daemon answers", limit=30.0)
        return self

    def launch(self, *wrapper: str, environment: dict[str, str] | None = None) -> None:
        """Start the daemon and do not wait."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*wrapper, LINODMGR, "start", "--foreground"],
                env={**self._environment(), **self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def cli(self, *arguments: str, code: int | Sequence[int] | None = 0) -> subprocess.CompletedProcess[str]:
        """Return what ``linodmgr *arguments`` did; ``code`` are the exit codes that are right, None: any."""
        done = subprocess.run(
            [LINODMGR, *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        right = (code,) if isinstance(code, int) else code
        assert right is None or done.returncode in right, (
            f"linodmgr {' '.join(arguments)} ended with {done.returncode}:"
            f"\n{done.stdout}{done.stderr}\nThe daemon says:\n{self.said()}"
        )
        return done

    def status(self) -> dict[str, Any]:
        """Return what ``status --json`` says of each site, by name."""
        answer = json.loads(self.cli("status", "--json", code=(0, 3)).stdout)
        return {site["name"]: site for site in answer["sites"]}

    def site(self, name: str) -> dict[str, Any]:
        """Return what ``status --json`` says of one site."""
        found: dict[str, Any] = self.status()[name]
        return found

    def until(self, name: str, state: str, limit: float = 30.0) -> dict[str, Any]:
        """Return the status of ``name`` as soon as it is in ``state``."""
        seen: list[dict[str, Any]] = []

        def there() -> bool:
            seen[:] = [self.site(name)]
            return bool(seen[0]["state"] == state)

        try:
            eventually(there, f"{name} is {state}", limit)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{seen[0]}\n{self.log(name)}\n{self.said()}") from error
        return seen[0]

    def log(self, name: str) -> str:
        """Return what the worker of ``name`` has printed so far."""
        return printed(self.home / "log" / f"{name}.log")

    def said(self) -> str:
        """Return the last of what the daemon itself has printed."""
        return self.output.read_text(errors="replace")[-OUTPUT_SHOWN:] if self.output.exists() else ""

    def kill(self) -> None:
        """End the daemon alone, without a chance to do anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> int:
        """End the daemon in order and return its exit code; 0 if there is none."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the daemon did not end:\n{self.said()}") from None
        self.process = None
        return code

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon has ended:\n{self.said()}"
        answer = self.cli("status", "--json", code=None)
        return answer.returncode in (0, 3) and bool(json.loads(answer.stdout)["pid"] == self.pid)

    def _environment(self) -> dict[str, str]:
        unwanted = ("NOTIFY_SOCKET", "DJANGO_SETTINGS_MODULE")
        kept = {key: value for key, value in os.environ.items() if key not in unwanted}
        return {**kept, "LINODMGR_CONFIG": str(self.config), "COLUMNS": "200"}


def printed(log: Path) -> str:
    """Return what stands in the log of a site, without time stamps; nothing if it is not there."""
    return without(log.read_bytes()).decode(errors="replace") if log.exists() else ""
