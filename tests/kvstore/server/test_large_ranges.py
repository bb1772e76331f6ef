"""Large ranges in the making: whose turn it is, and what becomes of those that end early."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from kvstore.commands import Range
from kvstore.errors import CompactedError, KvError, TooManyRequestsError
from kvstore.server.clock import LoopClock
from kvstore.server.large_ranges import Encoding, LargeRanges


class Client:
    """A client's call; it may leave, and keeps what it gets."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.metadata: dict[str, str] = {}
        self.is_here = True
        self.on_reply: Callable[[], None] = lambda: None
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def accepts_answer(self) -> bool:
        return self.is_here

    def reply(self, response: Any, header: bytes = b"") -> None:
        self.answer.set_result(response)
        self.on_reply()

    def fail(self, error: KvError) -> None:
        self.answer.set_exception(error)


class Bench:
    """Ranges whose key says what happens, and the story of it."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.faults: list[str] = []
        self.ranges = LargeRanges(LoopClock(), self._begin)
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self.faults.append(type(context["exception"]).__name__)
        )

    def _begin(self, command: Range) -> Encoding:
        if command.key == b"compacted":
            raise CompactedError
        return self._encoding(command.key.decode())

    def _encoding(self, name: str) -> Encoding:
        for number in range(2):
            self.story.append(f"{name}{number}")
            yield
        if name == "huge":
            raise MemoryError
        if name == "bug":
            raise ZeroDivisionError
        return name.encode()

    def add(self, name: bytes) -> Client:
        client = Client()
        self.ranges.add(Range(name, b"\0"), client)
        return client


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    asyncio.get_running_loop().set_exception_handler(None)


async def test_one_at_a_time_in_order_a_slice_per_turn_of_the_loop(bench: Bench) -> None:
    first, second = bench.add(b"a"), bench.add(b"b")
    assert bench.story == ["a0"]
    assert await first.answer == b"a"
    assert bench.story == ["a0", "a1"]
    assert await second.answer == b"b"
    assert bench.story == ["a0", "a1", "b0", "b1"]
    assert await bench.add(b"c").answer == b"c"  # after a rest


async def test_nothing_is_encoded_for_a_client_that_left(bench: Bench) -> None:
    gone, other, unborn = bench.add(b"a"), bench.add(b"b"), bench.add(b"c")
    gone.is_here = unborn.is_here = False
    assert await other.answer == b"b"
    assert await bench.add(b"d").answer == b"d"
    assert bench.story == ["a0", "b0", "b1", "d0", "d1"]
    assert not gone.answer.done()


async def test_rows_are_looked_up_when_the_turn_comes(bench: Bench) -> None:
    first, late = bench.add(b"a"), bench.add(b"compacted")
    assert not late.answer.done()
    assert await first.answer == b"a"
    with pytest.raises(CompactedError):
        await late.answer


async def test_who_asks_for_too_much_is_told_and_holds_up_no_other(bench: Bench) -> None:
    huge, other = bench.add(b"huge"), bench.add(b"b")
    with pytest.raises(TooManyRequestsError):
        await huge.answer
    assert await other.answer == b"b"
    assert bench.faults == []


async def test_a_bug_shows_and_holds_up_no_other(bench: Bench) -> None:
    buggy, other = bench.add(b"bug"), bench.add(b"b")
    with pytest.raises(KvError, match="the server failed"):
        await buggy.answer
    assert await other.answer == b"b"
    assert bench.faults == ["ZeroDivisionError"]


async def test_an_answer_may_bring_the_next_request(bench: Bench) -> None:
    first = bench.add(b"a")
    following: list[Client] = []
    first.on_reply = lambda: following.append(bench.add(b"b"))
    assert await first.answer == b"a"
    assert await following[0].answer == b"b"
    assert bench.story == ["a0", "a1", "b0", "b1"]
    assert bench.faults == []
