"""A deterministic asyncio event loop: time passes only when nothing else is left to do.

No socket, thread or real clock exists here; what a coroutine waits for is another callback. The
same coroutines with the same dice therefore run in the same order every time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

_SETTLE_TURNS_MAX = 100


class DeadlockError(RuntimeError):
    """Everything waits and no timer is left: nothing can ever happen again."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop whose clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        # What BaseEventLoop expects of its own kind (these two are how it polls for I/O).
        self._selector = self
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Simulated seconds since the start."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """What the base class calls to wait for I/O: there is none, so time jumps."""
        if timeout is None:
            raise DeadlockError("every task waits and no timer is left")
        self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        pass  # no other thread exists that could be the caller


class Session:
    """A loop that lives from one coroutine to the next; no time passes between them."""

    def __init__(self) -> None:
        self._loop = SimulatedLoop()

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run until a coroutine ends; whatever it left behind goes on with the next one."""
        previous = asyncio.events._get_running_loop()
        assert previous is None, "a simulation cannot run inside another loop"

        async def wrapped() -> T:
            return await main()

        return self._loop.run_until_complete(wrapped())

    def close(self) -> None:
        """End whatever is left."""
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(_settle())
        self._loop.close()


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end on a loop of its own."""
    session = Session()
    try:
        return session.run(main)
    finally:
        session.close()


async def _settle() -> None:
    """Give cancelled tasks the turns that they need to end; each may wait for others."""
    for _ in range(_SETTLE_TURNS_MAX):
        if len(asyncio.all_tasks()) == 1:  # this one
            return
        await asyncio.sleep(0)
