"""Requests at a fixed rate, whether or not the earlier ones are answered.

Latency counts from the moment that the schedule names, not from the moment of sending: a system
that holds the generator up pays for all that should have been sent meanwhile.
"""

import asyncio
import itertools
import time
from collections.abc import Callable

from benchmarks import loads
from benchmarks.closed_loop import ANSWER_SECONDS_MAX
from benchmarks.grpc_client import OnEnd, headers
from benchmarks.loads import GET, PUT, RANGE_100, TXN
from benchmarks.outcome import Meter, Outcome, Target

RATE = 2_000
CONNECTIONS = 256
# One turn: half puts, three tenths linearizable gets, a tenth ranges, a tenth txns.
TURN = (PUT, GET, PUT, RANGE_100, PUT, GET, PUT, TXN, PUT, GET)
_SLEEP_SECONDS = 0.001

Send = Callable[[int, OnEnd], None]  # starts the request of that number


class Schedule:
    """When each request is due: number `n` at `n / rate` seconds."""

    def __init__(self, rate: float, seconds: float) -> None:
        self._rate = rate
        self.count = round(rate * seconds)

    def start(self, number: int) -> float:
        """Seconds from the beginning until this request is due."""
        return number / self._rate

    def due(self, elapsed: float) -> int:
        """How many must have been started so many seconds after the beginning."""
        return min(self.count, int(elapsed * self._rate) + 1)


async def run(target: Target, send: Send, schedule: Schedule) -> Outcome:
    """Send all on schedule and wait for the answers."""
    return await _Run(target, send, schedule).finish()


async def run_mixed(target: Target, seconds: float) -> Outcome:
    """Puts, gets, ranges and txns on 256 connections."""
    async with loads.connected(target.endpoints, CONNECTIONS) as connections:
        requests = {load.name: itertools.cycle(loads.encoded(load)) for load in TURN}
        turn = [(headers(load.method), requests[load.name]) for load in TURN]

        def send(number: int, on_end: OnEnd) -> None:
            block, encoded = turn[number % len(turn)]
            connections[number % len(connections)].call(block, next(encoded), on_end)

        return await run(target, send, Schedule(RATE, seconds))


class _Run:
    def __init__(self, target: Target, send: Send, schedule: Schedule) -> None:
        self._send = send
        self._schedule = schedule
        self._meter = Meter(target)
        self._waiting: dict[int, float] = {}  # number: when it was due
        self._is_sent = False
        self._finished = asyncio.Event()

    async def finish(self) -> Outcome:
        sent = 0
        while sent < self._schedule.count:
            due = self._schedule.due(time.perf_counter() - self._meter.began)
            for number in range(sent, due):
                self._start(number)
            sent = due
            await asyncio.sleep(_SLEEP_SECONDS)
        self._is_sent = True
        if self._waiting:
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    await self._finished.wait()
            except TimeoutError:
                self._give_up()
        return self._meter.outcome(self._schedule.count - self._meter.failures)

    def _start(self, number: int) -> None:
        self._waiting[number] = self._meter.began + self._schedule.start(number)

        def on_end(is_answered: bool) -> None:
            due = self._waiting.pop(number, None)
            if due is None:
                return  # given up already
            if is_answered:
                self._meter.latencies.append(time.perf_counter() - due)
            else:
                self._meter.failures += 1
            if self._is_sent and not self._waiting:
                self._finished.set()

        try:
            self._send(number, on_end)
        except ConnectionError:
            on_end(False)

    def _give_up(self) -> None:
        """What is not answered by now has taken this long at least, and failed."""
        now = time.perf_counter()
        self._meter.latencies.extend(now - due for due in self._waiting.values())
        self._meter.failures += len(self._waiting)
        self._waiting.clear()
