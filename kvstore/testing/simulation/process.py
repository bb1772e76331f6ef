"""Whether one simulated process runs, stands still or is dead; what is for it waits meanwhile.

A process stands still as after SIGSTOP: time goes on, but no timer of its own runs and nothing
that arrives is looked at. Afterwards it gets everything, in the order in which it came.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

Callback = Callable[[], None]


class SimulatedCrash(BaseException):
    """Raised in a process that is dead, where it would go on."""


class _Held(msgspec.Struct, frozen=True):
    """What waits: run it, or tell that it is lost if the process dies first."""

    callback: Callback
    lose: Callback | None


class Process:
    """One life of one process."""

    def __init__(self) -> None:
        self.is_dead = False
        self._is_stopped = False
        self._held: deque[_Held] = deque()

    @property
    def is_running(self) -> bool:
        """Tell whether it may run now, with nothing that came earlier still waiting."""
        return not (self.is_dead or self._is_stopped or self._held)

    def run(self, callback: Callback, lose: Callback | None = None) -> None:
        """Run a callback of this process now, once it goes on, or never: then `lose` is run."""
        if self.is_running:
            callback()
        elif not self.is_dead:
            self._held.append(_Held(callback, lose))
        elif lose is not None:
            lose()

    async def turn(self) -> None:
        """Return when the process may run. Raises SimulatedCrash when it is dead."""
        while not self.is_running:
            if self.is_dead:
                raise SimulatedCrash
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            wake = partial(_wake, future)
            self._held.append(_Held(wake, wake))
            await future
            if not self.is_dead and not self._is_stopped:
                return  # its turn has come, whatever waits behind it

    def pause(self) -> None:
        """Stand still."""
        self._is_stopped = True

    def resume(self) -> None:
        """Go on, with what came first."""
        if self._is_stopped:
            self._is_stopped = False
            asyncio.get_running_loop().call_soon(self._catch_up)

    def die(self) -> None:
        """End: nothing of this process ever runs again."""
        self.is_dead = True
        held, self._held = self._held, deque()
        for waiting in held:
            if waiting.lose is not None:
                asyncio.get_running_loop().call_soon(waiting.lose)

    def _catch_up(self) -> None:
        """One callback per turn of the loop, as a real one finds its sockets ready."""
        if self.is_dead or self._is_stopped or not self._held:
            return
        first = self._held.popleft()
        asyncio.get_running_loop().call_soon(self._catch_up)
        first.callback()


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
