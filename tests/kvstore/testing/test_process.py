"""A process that stands still gets everything later; a dead one gets nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kvstore.testing.simulation import loop
from kvstore.testing.simulation.clock import SimulatedClock
from kvstore.testing.simulation.process import Process, SimulatedCrash


def simulated(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        loop.run(test)

    run.__name__ = getattr(test, "__name__", "test")
    return run


@simulated
async def test_what_came_meanwhile_is_run_in_its_order() -> None:
    process = Process()
    seen: list[int] = []
    process.pause()
    process.run(lambda: seen.append(1))
    process.run(lambda: seen.append(2))
    assert seen == []
    process.resume()
    process.run(lambda: seen.append(3))  # comes later: must not overtake
    assert seen == []
    await asyncio.sleep(1)
    assert seen == [1, 2, 3]
    process.run(lambda: seen.append(4))
    assert seen == [1, 2, 3, 4]


@simulated
async def test_timers_go_off_late_and_those_cancelled_meanwhile_do_not() -> None:
    process = Process()
    clock = SimulatedClock(process=process)
    seen: list[float] = []
    clock.call_later(1, lambda: seen.append(clock.now()))
    cancelled = clock.call_later(1, lambda: seen.append(-1))
    process.pause()
    await asyncio.sleep(5)
    cancelled.cancel()
    assert seen == []
    process.resume()
    await asyncio.sleep(1)
    assert seen == [5]


@simulated
async def test_a_sleeper_wakes_when_its_process_goes_on() -> None:
    process = Process()
    clock = SimulatedClock(process=process)
    sleeping = asyncio.ensure_future(clock.sleep(1))
    process.pause()
    await asyncio.sleep(3)
    assert not sleeping.done()
    process.resume()
    await asyncio.sleep(0.001)
    assert sleeping.done()


@simulated
async def test_time_goes_on_while_a_process_stands_still() -> None:
    process = Process()
    clock = SimulatedClock(rate=1.01, offset=10, process=process)
    process.pause()
    await asyncio.sleep(100)
    assert clock.now() == pytest.approx(111)


@simulated
async def test_a_dead_process_runs_nothing_and_tells_what_is_lost() -> None:
    process = Process()
    clock = SimulatedClock(process=process)
    ran: list[str] = []
    lost: list[str] = []
    clock.call_later(1, lambda: ran.append("timer"))
    sleeping = asyncio.ensure_future(clock.sleep(1))
    process.pause()
    process.run(lambda: ran.append("frame"), lambda: lost.append("frame"))
    process.die()
    process.resume()
    process.run(lambda: ran.append("late"), lambda: lost.append("late"))
    await asyncio.sleep(5)
    assert ran == []
    assert sorted(lost) == ["frame", "late"]
    with pytest.raises(SimulatedCrash):
        await sleeping
