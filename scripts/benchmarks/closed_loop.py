"""Clients with one request under way each: the next one starts when the answer is here."""

import asyncio
import time
from collections.abc import Callable, Sequence

from benchmarks.grpc_client import OnEnd
from benchmarks.outcome import Meter, Outcome, Target

Call = Callable[[OnEnd], None]  # starts one request; ConnectionError: this client is done for
ANSWER_SECONDS_MAX = 30.0  # after the end; what has no answer by then has failed


async def run(
    target: Target, calls: Sequence[Call], seconds: float, *, count_max: int | None = None
) -> Outcome:
    """Let each client call over and over for `seconds`, or until `count_max` calls were made."""
    loop = _Loop(target, seconds, count_max)
    loop.clients = [_Client(loop, call) for call in calls]
    for client in list(loop.clients):
        client.start(time.perf_counter())
    try:
        async with asyncio.timeout(seconds + ANSWER_SECONDS_MAX):
            await loop.finished.wait()
    except TimeoutError:
        loop.meter.failures += len(loop.clients)
    loop.is_over = True
    return loop.meter.outcome()


class _Loop:
    """What the clients of one measurement share."""

    def __init__(self, target: Target, seconds: float, count_max: int | None) -> None:
        self.meter = Meter(target)
        self.end = self.meter.began + seconds
        self.left = -1 if count_max is None else count_max
        self.clients: list[_Client] = []  # that still run
        self.finished = asyncio.Event()
        self.is_over = False
        # Looked up once: the generator's own work is part of every answer's time.
        self.clock = time.perf_counter
        self.add_latency = self.meter.latencies.append

    def retire(self, client: "_Client") -> None:
        self.clients.remove(client)
        if not self.clients:
            self.finished.set()


class _Client:
    __slots__ = ("_began", "_call", "_loop")

    def __init__(self, loop: _Loop, call: Call) -> None:
        self._loop = loop
        self._call = call
        self._began = 0.0

    def start(self, now: float) -> None:
        loop = self._loop
        self._began = now
        if now >= loop.end or loop.left == 0:
            loop.retire(self)
            return
        loop.left -= 1
        try:
            self._call(self._on_end)
        except ConnectionError:
            loop.meter.failures += 1
            loop.retire(self)

    def _on_end(self, is_answered: bool) -> None:
        loop = self._loop
        if loop.is_over:
            return  # the connections were closed on it
        now = loop.clock()
        if is_answered:
            loop.add_latency(now - self._began)
        else:
            loop.meter.failures += 1
        self.start(now)
