"""Large ranges in the making: whose turn it is, and what becomes of those that end early."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from kvstore.errors import KvError, TooManyRequestsError
from kvstore.server import large_ranges
from kvstore.server.clock import LoopClock
from kvstore.server.large_ranges import LargeRanges


class Client:
    """A client's call; it may leave, and keeps what it gets."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.metadata: dict[str, str] = {}
        self.is_here = True
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def is_awaited(self) -> bool:
        return self.is_here

    def reply(self, response: Any) -> None:
        self.answer.set_result(response)

    def fail(self, error: KvError) -> None:
        self.answer.set_exception(error)


@pytest.fixture
async def ranges() -> LargeRanges:
    return LargeRanges(LoopClock())


def encoding(name: str, story: list[str], slices: int = 2) -> Generator[None, None, bytes]:
    for number in range(slices):
        story.append(f"{name}{number}")
        yield
    return name.encode()


async def test_one_at_a_time_in_order_a_slice_per_turn_of_the_loop(ranges: LargeRanges) -> None:
    story: list[str] = []
    first, second = Client(), Client()
    ranges.add(encoding("a", story), first)
    ranges.add(encoding("b", story), second)
    assert story == ["a0"]
    assert await first.answer == b"a"
    assert story == ["a0", "a1"]
    assert await second.answer == b"b"
    assert story == ["a0", "a1", "b0", "b1"]
    third = Client()
    ranges.add(encoding("c", story), third)  # after a rest
    assert await third.answer == b"c"


async def test_those_that_wait_are_bounded(
    ranges: LargeRanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_ranges, "WAITING_MAX", 2)
    clients = [Client(), Client()]
    for client in clients:
        ranges.add(encoding("a", []), client)
    with pytest.raises(TooManyRequestsError):
        ranges.add(encoding("b", []), Client())
    assert await clients[1].answer == b"a"
    ranges.add(encoding("c", []), Client())


async def test_nothing_is_encoded_for_a_client_that_left(ranges: LargeRanges) -> None:
    story: list[str] = []
    gone, other = Client(), Client()
    ranges.add(encoding("a", story), gone)
    ranges.add(encoding("b", story), other)
    gone.is_here = False
    assert await other.answer == b"b"
    assert story == ["a0", "b0", "b1"]
    assert not gone.answer.done()


async def test_one_that_breaks_holds_up_no_other(ranges: LargeRanges) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    def broken() -> Generator[None, None, bytes]:
        yield
        raise MemoryError

    other = Client()
    ranges.add(broken(), Client())
    ranges.add(encoding("b", []), other)
    assert await other.answer == b"b"
    assert [type(fault["exception"]) for fault in faults] == [MemoryError]
