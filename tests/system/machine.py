"""A Debian whose first process is a real systemd, in namespaces of its own; it boots in a second."""

import functools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.eventually import eventually

BOOT = Path(__file__).with_name("boot.sh")
NAMESPACES = ["--pid", "--mount", "--propagation=private", "--uts", "--ipc", "--net"]
# The machine ends with us, whatever ends us: unshare ends with us, and process 1 with unshare.
TIED = ["setpriv", "--pdeathsig=KILL", "unshare", "--fork", "--kill-child=KILL", *NAMESPACES]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POWER_OFF = signal.SIGRTMIN + 4  # systemd(1)
BOOTS_WITHIN = 60.0  # seconds on a busy machine


class Machine:
    """One machine; what it changes is kept in ``home`` while it is off, ``root`` stays as it is."""

    def __init__(self, root: Path, home: Path) -> None:
        self._root = root
        self._home = home
        self._name = f"linodmgr-tests-{os.getpid()}"
        self._unshare: subprocess.Popen[bytes] | None = None
        self.init = 0  # the pid of its systemd, seen from here

    def boot(self) -> None:
        """Switch it on and wait until all its services run."""
        for name in ("cgroup", "changes", "work", "root"):
            (self._home / name).mkdir(exist_ok=True)
        with (self._home / "console").open("wb") as console:
            self._unshare = subprocess.Popen(
                [*TIED, "sh", str(BOOT), str(self._root), str(self._home), self._name],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self.init = eventually(self._systemd, "systemd is process 1", BOOTS_WITHIN)
        eventually(self._is_up, "all services run", BOOTS_WITHIN)

    def shut_down(self) -> None:
        """Switch it off in order: every service is stopped as its unit says."""
        assert self._unshare is not None
        os.kill(self.init, POWER_OFF)
        self._unshare.wait(timeout=120)
        self._forget()

    def cut_power(self) -> None:
        """End everything in it at once; the disk stays as it is."""
        if self._unshare is not None:
            self._unshare.kill()
            self._unshare.wait()
            eventually(lambda: not os.path.exists(f"/proc/{self.init}"), "its processes are gone")
            self._forget()

    def scrap(self) -> None:
        """Cut the power and remove the disk."""
        self.cut_power()
        shutil.rmtree(self._home)

    def path(self, path: str) -> Path:
        """Return where ``path`` of the running machine is for us; absolute links in it mean our files."""
        return Path(f"/proc/{self.init}/root", path.lstrip("/"))

    def run(
        self, *command: str, code: int | None = 0, user: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Return what ``command`` did in the machine; ``code`` is the exit code that is right, None: any."""
        become = [] if user == "root" else ["runuser", f"--user={user}", "--"]
        clean = ["env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "HOME=/root", "COLUMNS=200"]
        done = subprocess.run(
            ["nsenter", "--all", f"--target={self.init}", "--", *clean, *become, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code in (None, done.returncode), (
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done

    def _systemd(self) -> int:
        """Return the pid of process 1 once it is systemd and no longer the shell that prepares its files."""
        assert self._unshare is not None
        assert self._unshare.poll() is None, (self._home / "console").read_text(errors="replace")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
        if not children or Path(f"/proc/{children[0]}/comm").read_text() != "systemd\n":
            return 0
        return int(children[0])

    def _is_up(self) -> bool:
        state = self.run("systemctl", "is-system-running", code=None).stdout.strip()
        assert state != "degraded", self.run("systemctl", "--failed", "--no-pager").stdout
        return state == "running"

    def _forget(self) -> None:
        """Remove what the kernel still has of it: its control groups, which are empty now."""
        self._unshare = None
        script = (
            'mount -t cgroup2 none "$1" && cd "$1$(sed -n "s/^0:://p" /proc/self/cgroup)" && '
            'find "./$2" -depth -type d -exec rmdir {} +'
        )
        isolated = ["unshare", "--mount", "--propagation=private"]
        arguments = ["sh", str(self._home / "cgroup"), self._name]
        subprocess.run([*isolated, "sh", "-c", script, *arguments], check=True)


@functools.cache
def why_not() -> str:
    """Return why no machine can be booted here; empty if one can."""
    for program in ("mmdebstrap", "setpriv", "unshare", "nsenter"):
        if not shutil.which(program):
            return f"{program} is not installed"
    with tempfile.TemporaryDirectory(prefix="lm-machine-") as place:
        for name in ("lower", "changes", "work", "root"):
            Path(place, name).mkdir()
        overlay = f"lowerdir={place}/lower,upperdir={place}/changes,workdir={place}/work"
        script = 'mount -t overlay -o "$1" overlay "$2" && mount -t cgroup2 none "$2"'
        tried = subprocess.run(
            [*TIED, "--cgroup", "sh", "-c", script, "sh", overlay, f"{place}/root"],
            check=False,
            capture_output=True,
            text=True,
        )
    return tried.stderr.strip()
