from collections import Counter

from benchmarks import open_loop
from benchmarks.grpc_client import OnEnd
from benchmarks.loads import GET, PUT, RANGE_100, TXN
from benchmarks.open_loop import Schedule
from benchmarks.outcome import Target

NOWHERE = Target([])


def test_requests_are_due_at_a_fixed_rate() -> None:
    schedule = Schedule(rate=100, seconds=2)
    assert schedule.count == 200
    assert [schedule.start(number) for number in (0, 1, 50)] == [0.0, 0.01, 0.5]
    assert [schedule.due(elapsed) for elapsed in (0.0, 0.009, 0.5, 99.0)] == [1, 1, 51, 200]


def test_nothing_is_due_before_its_start() -> None:
    schedule = Schedule(rate=2_000, seconds=1)
    for elapsed in (0.0, 0.0004, 0.123, 0.7777):
        assert schedule.start(schedule.due(elapsed) - 1) <= elapsed


def test_the_mix_is_as_announced() -> None:
    counts = Counter(load.name for load in open_loop.TURN)
    assert counts == {PUT.name: 5, GET.name: 3, RANGE_100.name: 1, TXN.name: 1}


async def test_a_request_sent_late_counts_from_when_it_was_due() -> None:
    """The first answer to come holds nothing up, yet all pay for waiting on it."""
    waiting: list[OnEnd] = []

    def send(number: int, on_end: OnEnd) -> None:
        waiting.append(on_end)
        if number == 9:
            for answered in waiting:
                answered(True)

    found = await open_loop.run(NOWHERE, send, Schedule(rate=100, seconds=0.1))
    assert found.completions == 10
    assert found.p99_ms >= 90  # number 0 was due 90 ms before number 9


async def test_failures_and_lost_connections_are_counted() -> None:
    def send(number: int, on_end: OnEnd) -> None:
        if number == 0:
            raise ConnectionResetError
        on_end(number != 1)

    found = await open_loop.run(NOWHERE, send, Schedule(rate=1_000, seconds=0.01))
    assert (found.completions, found.failures) == (8, 2)
