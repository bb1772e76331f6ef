import asyncio

import pytest

from benchmarks import closed_loop
from benchmarks.grpc_client import OnEnd
from benchmarks.outcome import Target

NOWHERE = Target([])


async def test_a_client_has_one_request_under_way() -> None:
    under_way = most = 0

    def call(on_end: OnEnd) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)

        def answer() -> None:
            nonlocal under_way
            under_way -= 1
            on_end(True)

        asyncio.get_running_loop().call_soon(answer)

    found = await closed_loop.run(NOWHERE, [call, call], 60, count_max=100)
    assert found.completions == 100
    assert most == 2


async def test_failures_are_counted_and_a_lost_connection_ends_its_client() -> None:
    answers = [True, False, True]

    def call(on_end: OnEnd) -> None:
        if not answers:
            raise ConnectionResetError
        asyncio.get_running_loop().call_soon(on_end, answers.pop())

    found = await closed_loop.run(NOWHERE, [call], 60)
    assert (found.completions, found.failures) == (2, 2)


async def test_what_is_never_answered_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop, "ANSWER_SECONDS_MAX", 0.01)
    held: list[OnEnd] = []
    # Long enough for a busy machine to let it begin at all.
    found = await closed_loop.run(NOWHERE, [held.append], 0.5)
    assert (found.completions, found.failures) == (0, 1)
    held[0](True)  # too late: it starts nothing
    assert len(held) == 1
