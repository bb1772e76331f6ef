"""Writers of one key queue; whoever lost tries again, and is never told (2.3, 8.2)."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from controlplane.api.errors import ApiError
from controlplane.apiserver import turns
from controlplane.apiserver.turns import Turns
from controlplane.claims import ClaimLostError
from tests.controlplane.apiserver.asked import resource
from tests.controlplane.apiserver.asked import turns as loop_turns


class Register:
    """A key of a store: written where it is as was read; `seen` is the cache."""

    def __init__(self) -> None:
        self.value = 0
        self.seen = 0
        self.attempts = 0
        self.refreshed = 0

    async def fresh(self) -> None:
        self.refreshed += 1
        await asyncio.sleep(0)
        self.seen = self.value

    def add_one(self, key: bytes) -> Callable[[], Awaitable[int]]:
        async def attempt() -> int:
            self.attempts += 1
            read = self.seen
            await asyncio.sleep(0)
            if read != self.value:
                raise ClaimLostError(resource("configmaps"), "a", [key])
            self.value += 1
            return self.value

        return attempt


@pytest.fixture
def register() -> Register:
    return Register()


@pytest.fixture
def queue(register: Register) -> Turns:
    return Turns(register.fresh, random.Random(1))


async def test_who_knows_what_he_writes_never_loses_to_others_of_this_process(
    register: Register, queue: Turns
) -> None:
    work = [queue.run([b"k"], register.add_one(b"k")) for _ in range(50)]
    assert await asyncio.gather(*work) == list(range(1, 51))
    assert register.attempts == 50


async def test_who_has_lost_queues_at_the_key_that_he_lost(
    register: Register, queue: Turns
) -> None:
    work = [queue.run([], register.add_one(b"k")) for _ in range(50)]
    assert sorted(await asyncio.gather(*work)) == list(range(1, 51))
    assert register.attempts == 99  # all but the first have lost, once


async def test_another_process_is_met_by_trying_again(register: Register, queue: Turns) -> None:
    foreign_writes = 5

    async def attempt() -> int:
        nonlocal foreign_writes
        if foreign_writes:
            foreign_writes -= 1
            register.value += 1
        return await register.add_one(b"k")()

    assert await queue.run([b"k"], attempt) == 6


async def test_other_keys_wait_for_nothing(register: Register, queue: Turns) -> None:
    held = asyncio.create_task(queue.run([b"a"], asyncio.Event().wait))
    await loop_turns()
    assert await queue.run([b"b"], register.add_one(b"b")) == 1
    held.cancel()


async def test_keys_in_any_order_never_wait_in_a_circle(register: Register, queue: Turns) -> None:
    pairs = ([b"a", b"b"], [b"b", b"a"]) * 20
    work = [queue.run(keys, register.add_one(b"a")) for keys in pairs]
    await asyncio.gather(*work)
    assert register.value == 40


async def test_who_gives_up_does_not_hold_up_the_others(register: Register, queue: Turns) -> None:
    holder = asyncio.create_task(queue.run([b"k"], asyncio.Event().wait))
    await loop_turns()
    waiting = asyncio.create_task(queue.run([b"k"], asyncio.Event().wait))
    last = asyncio.create_task(queue.run([b"k"], register.add_one(b"k")))
    await loop_turns()
    waiting.cancel()
    holder.cancel()
    assert await last == 1


async def test_a_refusal_is_told_and_the_turn_goes_on(register: Register, queue: Turns) -> None:
    async def refused() -> int:
        raise ApiError(403, "Forbidden", "exceeded quota")

    first = queue.run([b"k"], refused)
    second = queue.run([b"k"], register.add_one(b"k"))
    answers = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(answers[0], ApiError)
    assert answers[1] == 1


async def test_too_many_who_wait_are_told_to_come_later(
    register: Register, queue: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "WAITING_MAX", 2)
    work = [queue.run([b"k"], register.add_one(b"k")) for _ in range(4)]
    *others, last = await asyncio.gather(*work, return_exceptions=True)
    assert others == [1, 2, 3]
    assert isinstance(last, ApiError)
    assert last.code == 429
    assert await queue.run([b"k"], register.add_one(b"k")) == 4
