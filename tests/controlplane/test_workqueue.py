"""The work queue in virtual time. Numbers are rows of kube-behaviour.md."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.workqueue import Backoff, Bucket, WorkQueue
from kvstore.client.clock import AsyncioClock
from kvstore.testing.simulation import loop


def _queue() -> WorkQueue[str]:
    return WorkQueue(AsyncioClock())


def _in_virtual_time(test: Callable[[], Awaitable[None]]) -> None:
    loop.run(test)


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_key_waits_once_however_often_it_is_added() -> None:
    async def check() -> None:
        queue = _queue()
        for key in "abaab":
            queue.add(key)
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert len(queue) == 0

    _in_virtual_time(check)


def test_key_is_never_with_two_workers() -> None:
    async def check() -> None:
        queue = _queue()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        queue.add("b")
        assert await queue.get() == "b"
        assert len(queue) == 0, "a is with a worker"
        queue.done("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0, "what was added before it was taken is done"

    _in_virtual_time(check)


def test_delayed_key_comes_at_its_time_and_the_shortest_delay_counts() -> None:
    async def check() -> None:
        queue = _queue()
        queue.add_after("late", 10)
        queue.add_after("a", 7)
        queue.add_after("a", 3)
        queue.add_after("a", 5)
        assert (await queue.get(), _now()) == ("a", 3)
        queue.done("a")
        assert (await queue.get(), _now()) == ("late", 10)

    _in_virtual_time(check)


def test_failures_come_back_ever_later() -> None:
    """11.11: 5 ms, doubled, up to 1000 s; forgotten with a success."""

    async def check() -> None:
        queue = _queue()
        delays = []
        for _ in range(21):
            queue.add_failed("a")
            begun = _now()
            key = await queue.get()
            queue.done(key)
            delays.append(_now() - begun)
        expected = [0.005 * 2**n for n in range(18)] + [1000.0] * 3
        assert delays == pytest.approx(expected)
        assert queue.failures("a") == 21
        queue.forget("a")
        queue.add_failed("a")
        begun = _now()
        await queue.get()
        assert _now() - begun == pytest.approx(0.005)

    _in_virtual_time(check)


def test_all_failures_together_fill_a_bucket() -> None:
    """11.11: 10 a second, a burst of 100."""
    bucket = Bucket()
    assert {bucket.take(0.0) for _ in range(100)} == {0.0}
    assert [bucket.take(0.0) for _ in range(3)] == pytest.approx([0.1, 0.2, 0.3])
    assert bucket.take(1.0) == 0.0, "seven are back after a second"
    assert [bucket.take(1000.0) for _ in range(100)] == pytest.approx([0.0] * 100, abs=1e-6)
    assert bucket.take(1000.0) == pytest.approx(0.1)


def test_ended_worker_leaves_no_key_without_one() -> None:
    async def check() -> None:
        queue = _queue()
        leaving = asyncio.create_task(queue.get())
        staying = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        leaving.cancel()
        assert await staying == "a"

    _in_virtual_time(check)


def test_closed_queue_brings_nothing_that_was_delayed() -> None:
    async def check() -> None:
        queue = _queue()
        queue.add_after("a", 1)
        queue.close()
        await asyncio.sleep(2)
        assert len(queue) == 0

    _in_virtual_time(check)


@given(failures=st.integers(0, 5000))
def test_back_off_is_bounded(failures: int) -> None:
    backoff: Backoff[str] = Backoff()
    delays = [backoff.failed("a") for _ in range(failures)]
    assert delays == sorted(delays)
    assert all(0 < delay <= 1000 for delay in delays)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "after", "fail"]))))
def test_every_key_that_was_added_is_worked_on_after_its_last_addition(
    steps: list[tuple[str, str]],
) -> None:
    async def check() -> None:
        queue = _queue()
        added: dict[str, int] = {}
        seen: dict[str, int] = {}
        busy: set[str] = set()

        async def work() -> None:
            while True:
                key = await queue.get()
                assert key not in busy
                busy.add(key)
                seen[key] = added[key]
                await asyncio.sleep(0.01)
                busy.discard(key)
                queue.done(key)

        workers = [asyncio.create_task(work()) for _ in range(2)]
        for count, (key, how) in enumerate(steps):
            added[key] = count
            match how:
                case "add":
                    queue.add(key)
                case "after":
                    queue.add_after(key, 0.02)
                case _:
                    queue.add_failed(key)
            await asyncio.sleep(0.004)
        await asyncio.sleep(2000)
        assert seen == added
        assert queue.is_idle
        for worker in workers:
            worker.cancel()
        await asyncio.wait(workers)
        assert all(worker.cancelled() for worker in workers)

    _in_virtual_time(check)
