"""The unit for systemd, as systemd itself judges it."""

import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "packaging" / "linodmgr.service"


@pytest.mark.needs("systemd-analyze", in_ci=False)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    # It looks whether the program is there, which it need not be on this machine.
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/linodmgr/bin/linodmgr", "/bin/true"))

    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
