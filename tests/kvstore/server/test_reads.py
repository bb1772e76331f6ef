"""Reads that wait: which of them are asked for together."""

import asyncio
from collections.abc import Sequence

import pytest

from kvstore.commands import Put
from kvstore.errors import KvError
from kvstore.server.node import GATHER_TURNS_MAX
from kvstore.server.reads import ReadDone, ReadQueue
from kvstore.testing.simulation import loop
from kvstore.testing.simulation.clock import SimulatedClock

from .test_node import ALONE, a_member


def ignore(_: KvError | None) -> None:
    pass


def ask_for(queue: ReadQueue, count: int) -> None:
    for _ in range(count):
        queue.add(0.0, ignore)
    queue.ask(0.0, lambda _: True)


def test_reads_wait_for_others_only_if_the_last_ones_had_company() -> None:
    queue = ReadQueue(1, timeout_seconds=7.0, retry_seconds=1.0)
    ask_for(queue, 1)
    queue.add(0.0, ignore)
    assert queue.gathering_count == 0
    ask_for(queue, 1)  # two, with the one that waits
    assert queue.gathering_count == 0
    queue.add(0.0, ignore)
    assert queue.gathering_count == 1


def rounds_for(turns: int) -> int:
    """How many rounds are asked for where two reads came together before, then one a turn."""

    async def contexts() -> list[int]:
        asked_for: list[int] = []
        async with a_member(SimulatedClock(), *ALONE) as member:
            await asyncio.sleep(5.0)
            node = member.node
            asked = node.raft.read_index
            served: list[int] = []

            def read_index(context: int) -> bool:
                asked_for.append(context)
                return asked(context)

            node.raft.read_index = read_index  # type: ignore[method-assign]

            def reader(number: int) -> ReadDone:
                def done(error: KvError | None) -> None:
                    assert error is None
                    served.append(number)

                return done

            for number in range(2):
                node.read_index(reader(number))
            await asyncio.sleep(1.0)
            for number in range(2, 2 + turns):
                node.read_index(reader(number))
                await asyncio.sleep(0)
            await asyncio.sleep(1.0)
            assert served == list(range(2 + turns))
        return asked_for

    return len(loop.run(contexts)) - 1


@pytest.mark.parametrize("turns", [2, GATHER_TURNS_MAX - 1])
def test_reads_of_the_next_turns_join_a_round(turns: int) -> None:
    assert rounds_for(turns) == 1


def test_reads_do_not_gather_for_ever() -> None:
    turns = 60
    assert turns / (2 * GATHER_TURNS_MAX) <= rounds_for(turns) <= turns / 2


def test_reads_do_not_gather_while_there_is_a_write_to_propose() -> None:
    async def story() -> list[str]:
        """Of a write that comes with a read, and more reads after them, one a turn."""
        story: list[str] = []
        async with a_member(SimulatedClock(), *ALONE) as member:
            await asyncio.sleep(5.0)
            node = member.node
            for _ in range(2):
                node.read_index(ignore)
            await asyncio.sleep(1.0)
            propose = node.raft.propose

            def spy(data: Sequence[bytes]) -> bool:
                story.append("proposed")
                return propose(data)

            node.raft.propose = spy  # type: ignore[method-assign]
            node.propose(Put(b"k"), lambda _: None)
            for turn in range(GATHER_TURNS_MAX):
                node.read_index(ignore)
                await asyncio.sleep(0)
                story.append(f"turn {turn}")
        return story

    assert loop.run(story).index("proposed") <= 1
