"""The log file of a container: what was written since it was opened is bounded.

The agent renames a log that is large enough and has it opened anew. One that writes faster than
the agent rotates is made to wait (nobody reads its pipe meanwhile); when nobody rotates for long,
because no agent is there, what it writes is dropped instead: a pod outlives its agent.
"""

import os
from pathlib import Path

# Ten times what an agent keeps a file at.
LOG_BYTES_MAX = 100 * 1024 * 1024
WAIT_SECONDS = 30.0


class LogFile:
    """Open for appending. Raises OSError when it cannot be."""

    def __init__(self, path: Path, *, bytes_max: int = LOG_BYTES_MAX) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._full_since = 0.0
        self._descriptor = self._open()

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o640)
        self._bytes = os.fstat(descriptor).st_size
        return descriptor

    def reopen(self) -> None:
        """Write on in a new file of the name. Raises OSError, and the old one stays."""
        opened = self._open()
        os.close(self._descriptor)
        self._descriptor = opened
        self._full_since = 0.0

    def write(self, lines: bytes) -> None:
        """What does not find room, here or on the disk, is lost."""
        if self._bytes >= self._bytes_max:
            return
        try:
            self._bytes += os.write(self._descriptor, lines)
        except OSError:
            return  # a full disk must not stop the container

    def makes_wait(self, now: float) -> bool:
        """Whether its writer is to wait now. `now`: monotonic seconds."""
        if self._bytes < self._bytes_max:
            return False
        self._full_since = self._full_since or now
        return now - self._full_since < WAIT_SECONDS

    def close(self) -> None:
        os.close(self._descriptor)
