"""Where linodmgr's files are. Imports nothing heavy: every command of a person needs it."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linodmgr.errors import ConfigError, LinodmgrError

CONFIG_VARIABLE = "LINODMGR_CONFIG"


@dataclass(frozen=True, slots=True)
class Places:
    """The directories of one daemon."""

    runtime_dir: Path
    state_dir: Path
    log_dir: Path
    lock_dir: Path  # one fixed place per host and user, whatever the configuration says

    @property
    def control(self) -> Path:
        """The socket that people talk to."""
        return self.runtime_dir / "control"

    @property
    def report(self) -> Path:
        """The socket that runners talk to."""
        return self.runtime_dir / "report"
