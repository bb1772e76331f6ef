"""Turns of users (kube-behaviour 2.23, 11.9)."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from controlplane.api.errors import ApiError
from controlplane.apiserver import flow_control
from controlplane.apiserver.flow_control import FlowControl
from controlplane.apiserver.rbac import Attributes
from controlplane.apiserver.users import User
from tests.controlplane.apiserver.asked import MASTER, turns


class Requests:
    """Requests of users, each of which lasts until it is told to end."""

    def __init__(self, flow: FlowControl) -> None:
        self._flow = flow
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.begun: list[str] = []

    @property
    def open(self) -> set[str]:
        """Those that wait or are handled."""
        return {name for name, task in self.tasks.items() if not task.done()}

    async def begin(
        self,
        user: str,
        number: int = 1,
        *,
        is_write: bool = False,
        who: User | None = None,
        asked: Attributes | None = None,
    ) -> str:
        name = f"{user}{number}"
        self._ends[name] = asyncio.Event()
        who = who or (MASTER if user == "admin" else User(name=user))
        asked = asked or Attributes(verb="create" if is_write else "get")
        self.tasks[name] = asyncio.create_task(self._run(name, who, asked))
        await turns()
        return name

    async def _run(self, name: str, user: User, asked: Attributes) -> None:
        async with self._flow.seat(user, asked):
            self.begun.append(name)
            await self._ends[name].wait()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await turns()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await turns()

    async def finish(self) -> None:
        for name in self.tasks:
            self._ends[name].set()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


@pytest.fixture
def flow() -> FlowControl:
    return FlowControl(reads=2, writes=1)


async def test_so_many_and_no_more_are_handled_at_once(flow: FlowControl) -> None:
    """2.23."""
    requests = Requests(flow)
    for number in (1, 2, 3):
        await requests.begin("a", number)
    assert requests.begun == ["a1", "a2"]
    await requests.end("a1")
    assert requests.begun == ["a1", "a2", "a3"]
    await requests.finish()


async def test_writes_and_reads_do_not_wait_for_each_other(flow: FlowControl) -> None:
    requests = Requests(flow)
    for number in (1, 2):
        await requests.begin("a", number)
    await requests.begin("w", is_write=True)
    assert requests.begun == ["a1", "a2", "w1"]
    await requests.finish()


async def test_a_busy_user_does_not_starve_others(flow: FlowControl) -> None:
    """11.9."""
    requests = Requests(flow)
    for number in range(1, 7):
        await requests.begin("a", number)
    await requests.begin("b")
    await requests.begin("c")
    for name in ("a1", "a2", "a3", "b1"):
        await requests.end(name)
    assert requests.begun == ["a1", "a2", "a3", "b1", "c1", "a4"]
    await requests.finish()
    assert sorted(requests.begun) == sorted(requests.tasks)


async def test_who_has_too_many_waiting_is_told_to_come_again(flow: FlowControl) -> None:
    """11.9: 429 with Retry-After 1; a queue takes 50."""
    requests = Requests(flow)
    for number in range(2 + 50):
        await requests.begin("a", number)
    name = await requests.begin("a", 999)
    assert requests.tasks[name].done()
    with pytest.raises(ApiError) as caught:
        await requests.tasks[name]
    assert (caught.value.code, caught.value.retry_after_seconds) == (429, 1)
    # Another user is not told so.
    other = await requests.begin("b")
    assert not requests.tasks[other].done()
    await requests.finish()


async def test_who_has_waited_too_long_is_told_to_come_again(
    flow: FlowControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.23, 11.9: a quarter of a request's time, as Kubernetes' API server has it."""
    assert flow_control.WAITING_SECONDS_MAX == 15.0
    requests = Requests(flow)
    for number in (1, 2):
        await requests.begin("a", number)
    monkeypatch.setattr(flow_control, "WAITING_SECONDS_MAX", 0.0)
    name = await requests.begin("a", 3)
    with pytest.raises(ApiError) as caught:
        await requests.tasks[name]
    assert caught.value.code == 429
    # He left no trace: the next seat is for who is there.
    monkeypatch.setattr(flow_control, "WAITING_SECONDS_MAX", 60.0)
    await requests.begin("b")
    await requests.end("a1")
    assert requests.begun == ["a1", "a2", "b1"]
    assert sum(flow.readings(waiting=True).values()) == 0
    await requests.finish()


async def test_masters_never_wait(flow: FlowControl) -> None:
    requests = Requests(flow)
    for number in (1, 2, 3):
        await requests.begin("a", number)
    await requests.begin("admin")
    assert requests.begun == ["a1", "a2", "admin1"]
    await requests.finish()


async def test_who_goes_while_he_waits_leaves_no_trace(flow: FlowControl) -> None:
    requests = Requests(flow)
    for number in range(2 + 50):
        await requests.begin("a", number)
    for number in range(2, 2 + 50):
        await requests.cancel(f"a{number}")
    # His place in the queue is free again …
    name = await requests.begin("a", 999)
    assert not requests.tasks[name].done()
    # … and the next turn is for somebody who is there.
    await requests.end("a0")
    assert requests.begun == ["a0", "a1", "a999"]
    await requests.finish()


async def test_a_turn_that_nobody_takes_goes_to_the_next(flow: FlowControl) -> None:
    requests = Requests(flow)
    for number in (1, 2, 3, 4):
        await requests.begin("a", number)
    requests._ends["a1"].set()
    for _ in range(6):  # at some moment the turn has come and is not taken yet
        await asyncio.sleep(0)
        if requests.tasks["a1"].done():
            break
    requests.tasks["a3"].cancel()
    await turns()
    assert "a4" in requests.begun or "a3" in requests.begun
    await requests.end("a3")
    await requests.end("a2")
    assert "a4" in requests.begun
    await requests.finish()


async def test_no_seat_is_lost_by_errors_and_cancelled_requests(flow: FlowControl) -> None:
    @contextlib.contextmanager
    def failing() -> Iterator[None]:
        with pytest.raises(ValueError, match="x"):
            yield

    for _ in range(5):
        with failing():
            async with flow.seat(User(name="a"), Attributes(verb="update", resource="pods")):
                raise ValueError("x")
    requests = Requests(flow)
    await requests.begin("a", 1, is_write=True)
    await requests.begin("a", 2, is_write=True)
    await requests.cancel("a1")
    assert requests.begun == ["a1", "a2"]
    await requests.end("a2")
    await requests.begin("a", 3, is_write=True)
    assert requests.begun == ["a1", "a2", "a3"]
    await requests.finish()
