import asyncio
from typing import Any, cast

import pytest

from benchmarks import streams
from benchmarks.grpc_client import GrpcConnection, OnEnd
from benchmarks.outcome import Outcome, Target
from benchmarks.streams import _EventCounter, _FanOut, _KeepAlive
from kvstore.pb import rpc_pb2

WATCHERS = 3


class Putting:
    """A connection whose puts are answered at once, and each has its events at once or never."""

    def __init__(self, counter: _EventCounter, *, events: int, delivered_max: int) -> None:
        self._counter = counter
        self._events = events
        self._delivered_max = delivered_max
        self.puts = 0

    def call(self, header_block: bytes, data: bytes, on_end: OnEnd) -> None:
        self.puts += 1
        asyncio.get_running_loop().call_soon(on_end, True)
        if self.puts <= self._delivered_max:
            response = rpc_pb2.WatchResponse(events=[{}] * self._events)  # type: ignore[list-item]
            asyncio.get_running_loop().call_soon(
                self._counter.on_message, response.SerializeToString()
            )


async def _fan_out(
    monkeypatch: pytest.MonkeyPatch, *, events: int, delivered_max: int
) -> tuple[Outcome, Putting]:
    monkeypatch.setattr(streams, "ANSWER_SECONDS_MAX", 0.05)
    monkeypatch.setattr(streams, "_PUTS_OWED_MAX", 5)
    counter = _EventCounter(WATCHERS)
    putting = Putting(counter, events=events, delivered_max=delivered_max)
    fan_out = _FanOut(Target([]), [cast("GrpcConnection", putting)], counter)
    return await fan_out.run(0.05), putting


async def test_puts_go_on_while_events_come(monkeypatch: pytest.MonkeyPatch) -> None:
    found, putting = await _fan_out(monkeypatch, events=WATCHERS, delivered_max=10**9)
    assert found.failures == 0
    assert putting.puts > 5
    assert found.completions > 5 * WATCHERS


async def test_puts_wait_while_too_many_events_are_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    found, putting = await _fan_out(monkeypatch, events=WATCHERS, delivered_max=2)
    assert putting.puts == 2 + 5
    assert found.completions == 2 * WATCHERS
    assert found.failures == 5 * WATCHERS  # never came


async def test_events_too_many_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    found, putting = await _fan_out(monkeypatch, events=WATCHERS + 1, delivered_max=10**9)
    assert found.failures == putting.puts


def test_an_equal_message_counts_as_often_as_it_comes() -> None:
    counter = _EventCounter(1)
    counter.on_message(rpc_pb2.WatchResponse(created=True).SerializeToString())
    for _ in range(3):
        event = rpc_pb2.WatchResponse(events=[{}, {}])  # type: ignore[list-item]
        counter.on_message(event.SerializeToString())
    assert (counter.created, counter.events) == (1, 6)


class Leased:
    """A stream that keeps what it is told."""

    def __init__(self) -> None:
        self.sent = 0

    def open(self, header_block: bytes, on_message: Any, on_end: Any) -> int:
        self.on_message, self.on_end = on_message, on_end
        return 1

    def send(self, stream: int, data: bytes, *, last: bool) -> None:
        self.sent += 1


def test_a_keep_alive_is_answered_by_the_lease_that_lives() -> None:
    stream = Leased()
    keep_alive = _KeepAlive(cast("GrpcConnection", stream), 7)
    answers: list[bool] = []
    for ttl in (60, 0):
        keep_alive.call(answers.append)
        stream.on_message(rpc_pb2.LeaseKeepAliveResponse(ID=7, TTL=ttl).SerializeToString())
    assert answers == [True, False]
    assert stream.sent == 2


def test_the_end_of_a_stream_fails_what_is_under_way_and_all_after() -> None:
    stream = Leased()
    keep_alive = _KeepAlive(cast("GrpcConnection", stream), 7)
    answers: list[bool] = []
    keep_alive.call(answers.append)
    stream.on_end(True)
    assert answers == [False]
    with pytest.raises(ConnectionResetError):
        keep_alive.call(answers.append)
