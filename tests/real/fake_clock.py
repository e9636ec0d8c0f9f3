"""A wall clock that a test sets, for a daemon and its workers, by Debian's faketime; monotonic ones go on."""

from pathlib import Path

LIBRARIES = "usr/lib/*/faketime/libfaketimeMT.so.1"


class Clock:
    """Shows the real time plus an offset."""

    def __init__(self, place: Path) -> None:
        self._file = place / "clock"
        self.shift(0)

    def shift(self, seconds: float) -> None:
        """Show the real time plus so many seconds from now on."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+.0f}\n")
        part.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to look at this clock."""
        [library] = sorted(Path("/").glob(LIBRARIES))[:1]
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
