"""The files of a machine: Debian, and a virtualenv with all that linodmgr needs; kept in the cache."""

import shlex
import shutil
import sys
from importlib.metadata import requires
from pathlib import Path
from platform import machine as architecture

from tests.cache import kept, run
from tests.system.machine import Machine

HOUSE = Path(__file__).parents[2]
SUITE, PYTHON = "bookworm", "3.11"
PACKAGES = "systemd-sysv,dbus,python3-venv"
VENV = "/opt/linodmgr"
UNIT = "linodmgr.service"
PLATFORMS = [f"{tag}_{architecture()}" for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
PIP = [sys.executable, "-m", "pip"]
OFFLINE = ["install", "--quiet", "--no-index", "--root-user-action=ignore", "--no-cache-dir"]


def root() -> Path:
    """Return the directory of the files, which nobody may change."""
    wanted = [text for text in requires("linodmgr") or () if "extra ==" not in text]
    return kept(SUITE, [PACKAGES, VENV, *wanted], lambda place: _make(place, wanted)) / "root"


def _make(place: Path, wanted: list[str]) -> None:
    wheels = place / "wheels"
    # They are for the machine's Python, whatever ours is: it has no network to fetch them itself.
    only = ["--only-binary=:all:", f"--python-version={PYTHON}", *(f"--platform={tag}" for tag in PLATFORMS)]
    run([*PIP, "download", "--quiet", "--dest", str(wheels), *only, *wanted], cwd=place)
    names = [f"/wheels/{path.name}" for path in sorted(wheels.iterdir())]
    inside = [["python3", "-m", "venv", VENV], [f"{VENV}/bin/pip", *OFFLINE, *names], ["rm", "-r", "/wheels"]]
    clean = 'chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8'
    hooks = [f"copy-in {shlex.quote(str(wheels))} /", *(f"{clean} {shlex.join(one)}" for one in inside)]
    run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            "--aptopt=Acquire::Retries 3",
            "--dpkgopt=force-unsafe-io",  # half the time
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            f"--include={PACKAGES}",
            *(f"--customize-hook={hook}" for hook in hooks),
            SUITE,
            str(place / "root"),
        ],
        cwd=place,
    )


def build_wheel(place: Path) -> Path:
    """Return the wheel of this very checkout, built in ``place``."""
    run([*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(HOUSE)], cwd=place)
    [wheel] = place.glob("linodmgr-*.whl")
    return wheel


def install(machine: Machine, wheel: Path) -> None:
    """Do in the running machine what README.md tells the admin to do."""
    shutil.copy(wheel, machine.path("/root"))
    machine.run(f"{VENV}/bin/pip", *OFFLINE, "--no-deps", f"/root/{wheel.name}")
    machine.run("ln", "-s", f"{VENV}/bin/linodmgr", "/usr/local/bin/linodmgr")
    machine.path("/etc/linodmgr").mkdir()
    shutil.copy(HOUSE / "packaging" / UNIT, machine.path("/etc/systemd/system"))
    machine.run("systemctl", "daemon-reload")
