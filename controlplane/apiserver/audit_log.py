"""The file of the audit log: it grows to a size, then a new one begins, and the oldest ones go.

Source: `--audit-log-path`, `--audit-log-maxsize` and `--audit-log-maxbackup` of kube-apiserver,
and its names for what was put aside: `audit-2026-11-29T18-04-05.123.log`.
"""

import contextlib
import logging
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}", re.ASCII)
_log = logging.getLogger(__name__)


class AuditLog:
    """A log in a file that only its owner may read.

    bytes_max    a file that would be larger is put aside; 0: none is
    backups_max  how many of those are kept; 0: all
    now          seconds since 1970
    """

    def __init__(
        self, path: Path, *, bytes_max: int, backups_max: int, now: Callable[[], float]
    ) -> None:
        """Raises OSError when it cannot be written."""
        self._path = path
        self._bytes_max = bytes_max
        self._backups_max = backups_max
        self._now = now
        self._last_aside = 0  # milliseconds since 1970
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._open()
        self._prune()

    def _open(self) -> None:
        self._descriptor = os.open(
            self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        self._size = os.fstat(self._descriptor).st_size
        self._is_torn = False  # the last line in it has no end

    def write(self, line: bytes) -> None:
        """Append a line. Raises OSError when it is lost."""
        if self._bytes_max and self._size and self._size + len(line) > self._bytes_max:
            self._put_aside()
        # Of a line that a full disk took a part of, the next one must not become the rest.
        rest = b"\n" + line if self._is_torn else line
        while rest:
            written = os.write(self._descriptor, rest)
            self._size += written
            rest = rest[written:]
            self._is_torn = bool(rest)

    def _put_aside(self) -> None:
        """Begin a new file; where that fails, the old one goes on: no line is lost for it."""
        earlier = self._descriptor
        try:
            with contextlib.suppress(FileNotFoundError):  # somebody has taken it away
                self._path.rename(self._aside())
            self._open()
        except OSError as error:
            _log.error("the audit log %s cannot be put aside: %s", self._path, error)
            return
        os.close(earlier)
        self._prune()

    def _aside(self) -> Path:
        # By their names the oldest ones go, also where the clock was set back.
        milliseconds = max(int(self._now() * 1000), self._last_aside + 1)
        while True:
            self._last_aside = milliseconds
            moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
            told = moment.strftime("%Y-%m-%dT%H-%M-%S.") + f"{milliseconds % 1000:03d}"
            path = self._path.with_name(f"{self._path.stem}-{told}{self._path.suffix}")
            if not path.exists():
                return path
            milliseconds += 1

    def _prune(self) -> None:
        if not self._backups_max:
            return
        start, end = f"{self._path.stem}-", self._path.suffix
        aside = sorted(
            one
            for one in self._path.parent.iterdir()
            if one.name.startswith(start)
            and one.name.endswith(end)
            and _MOMENT.fullmatch(one.name[len(start) : len(one.name) - len(end)])
        )
        for one in aside[: -self._backups_max]:
            with contextlib.suppress(FileNotFoundError):  # another server shares the folder
                one.unlink()
