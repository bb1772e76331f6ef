"""A wall clock that jumps, for the processes that run under it; their monotonic clock does not.

libfaketime answers in place of the C library when a process asks for the time of day. It reads how
far the clock is off from a file, anew each time. Debian 12's (0.9.10) breaks one call: a process
under it must not use Python's `time.sleep`; our members do not.
"""

import sysconfig
from pathlib import Path

_PACKAGE = "libfaketime"
_SECONDS_MAX = 100 * 365 * 86_400.0


def missing() -> str:
    """Why no clock can be made to jump here; empty when it can."""
    if _library() is None:
        return f"{_PACKAGE} is not installed: apt-get install {_PACKAGE}"
    return ""


class JumpingClock:
    """The wall clock of the processes that were started with `environment()`."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where the file goes that says how far the clock is off."""
        self._file = folder / "clock"
        self.jump(0)

    def environment(self) -> dict[str, str]:
        """Variables to add to a process's environment at its start."""
        library = _library()
        assert library is not None, missing()
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Its fix for an old C library turns the waits for Python's lock around threads into
            # waits without an end: commits then took 15 times as long.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def jump(self, seconds: float) -> None:
        """Set the clock to so much after (or, negative, before) the true time; at once."""
        assert abs(seconds) <= _SECONDS_MAX, "a century is enough"
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+.6f}\n")
        new.replace(self._file)  # whoever reads meanwhile sees the old file or the new one


def _library() -> Path | None:
    """Debian's, for programs with threads."""
    folder = Path("/usr/lib") / (sysconfig.get_config_var("MULTIARCH") or "")
    library = folder / "faketime" / "libfaketimeMT.so.1"
    return library if library.exists() else None
