"""Processes of `controlplane` of which one leads."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ENDED_SECONDS_MAX = 30


class Candidate:
    """`controlplane COMPONENT`, which leads under this identity if it can."""

    def __init__(
        self, component: str, identity: str, endpoints: Sequence[str], folder: Path, *flags: str
    ) -> None:
        self.identity = identity
        self._log = folder / f"{identity}.log"
        command = [
            *(sys.executable, "-m", "controlplane", component),
            f"--store-endpoints={','.join(endpoints)}",
            f"--identity={identity}",
            *flags,
        ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def has_led(self) -> bool:
        """It has been told that it leads."""
        assert self.process.poll() is None, self.log
        return f"leading {self.identity}\n" in self.log

    async def end(self, number: signal.Signals) -> int:
        """Send it a signal of which it ends; its exit status."""
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, ENDED_SECONDS_MAX)


Start = Callable[[str], Candidate]
"""A candidate with a name; its identity is one that no other test uses."""


@contextmanager
def candidates(
    component: str, endpoints: Sequence[str], folder: Path, prefix: str, *flags: str
) -> Iterator[Start]:
    """What starts them; they are gone at the end."""
    made: list[Candidate] = []

    def start(name: str) -> Candidate:
        made.append(Candidate(component, f"{prefix}-{name}", endpoints, folder, *flags))
        return made[-1]

    try:
        yield start
    finally:
        for one in made:
            one.process.kill()  # also one that is stopped
            one.process.wait()
