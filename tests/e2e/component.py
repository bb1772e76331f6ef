"""One process of the control plane, as an operator would start it; it signals no other."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

READY_SECONDS_MAX = 120.0  # a crowded machine
STOP_SECONDS_MAX = 15.0
POLL_SECONDS = 0.05


class Component:
    """`python -m controlplane NAME`; a context manager.

    ready  the first word of the line by which it says that it is at work
    said   the second one
    """

    def __init__(self, name: str, folder: Path, flags: Sequence[str], *, ready: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.said = ""
        self.log_path = folder / f"{name}.log"
        self._command = [sys.executable, "-m", "controlplane", name, *flags]
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it says that it is at work."""
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self.said:
            words = [line.split() for line in self.log().splitlines()]
            self.said = next((line[1] for line in words if line[:1] == [self._ready]), "")
            assert self._process.poll() is None, f"{self.name} has ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"{self.name} is not ready:\n{self.log()}"
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS_MAX)
        self._process.kill()
        self._process.wait()
        self._process = None

    def log(self) -> str:
        """All that it has said."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
