"""Another installation of linodmgr, whose files tests replace under a running daemon."""

import shutil
from pathlib import Path

import linodmgr
from tests.real.daemon_fixture import Daemon

VERSION = "0.1.0+next"


class Installed:
    """A copy of the package that a daemon runs from; the command line is the usual one."""

    def __init__(self, home: Path) -> None:
        self.home = home / "code"
        self.package = self.home / "linodmgr"
        shutil.copytree(Path(linodmgr.__file__).parent, self.package)

    def serve(self, daemon: Daemon) -> Daemon:
        """Start a daemon that runs from it."""
        daemon.environment["PYTHONPATH"] = str(self.home)
        return daemon.start()

    def replace(self, name: str, text: str) -> None:
        """Replace one file."""
        (self.package / name).write_text(text)

    def next(self, version: str = VERSION) -> None:
        """Install another version."""
        self.replace("__init__.py", f'"""Another version."""\n\n__version__ = "{version}"\n')

    def remove(self) -> None:
        """Remove all its files."""
        shutil.rmtree(self.home)
