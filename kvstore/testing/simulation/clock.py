"""The clock of one simulated process: runs a little fast or slow; its timers run when it does."""

import asyncio
from collections.abc import Callable

from kvstore.seams import Timer
from kvstore.testing.simulation.process import Process


class _Timer:
    """A callback of a process that may stand still, or forget it, when its time has come."""

    __slots__ = ("_callback", "_handle", "_is_cancelled", "_process")

    def __init__(self, process: Process, seconds: float, callback: Callable[[], None]) -> None:
        self._process = process
        self._callback = callback
        self._is_cancelled = False
        self._handle = asyncio.get_running_loop().call_later(seconds, self._fire)

    def cancel(self) -> None:
        """See `Timer.cancel`; also while it waits for its process to go on."""
        self._is_cancelled = True
        self._handle.cancel()

    def _fire(self) -> None:
        self._process.run(self._run)

    def _run(self) -> None:
        if not self._is_cancelled:
            self._callback()


class SimulatedClock:
    """Clock seam on the running (simulated) loop.

    `rate` is simulated skew: local seconds per second of the loop. While `process` stands still
    its time goes on but no callback runs and no sleeper wakes. Once it is dead no callback ever
    does, and sleepers get SimulatedCrash.
    """

    def __init__(
        self, *, rate: float = 1.0, offset: float = 0.0, process: Process | None = None
    ) -> None:
        self._rate = rate
        self._offset = offset
        self._process = process or Process()

    def now(self) -> float:
        """Monotonic local seconds."""
        return self._offset + asyncio.get_running_loop().time() * self._rate

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of local time."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(seconds / self._rate)
        if not self._process.is_running:
            await self._process.turn()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` after `seconds` of local time, unless the process is dead by then."""
        return _Timer(self._process, seconds / self._rate, callback)
