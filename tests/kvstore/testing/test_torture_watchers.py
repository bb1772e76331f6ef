"""How long a watch may take to be told what is known; in virtual time."""

import asyncio

import pytest

from kvstore.testing.history import ViolationError
from kvstore.testing.torture.recorder import RecordedWatch, Recorder
from kvstore.testing.torture.watchers import STILL_SECONDS_MAX, Watchers
from kvstore.testing.watch_checker import Batch, Watch

pytestmark = pytest.mark.looptime
_LAST = 7
_HOLD_SECONDS = 3_600.0


class _Asked:
    """A watch that waits to be told."""

    def __init__(self) -> None:
        self.watchers = Watchers(Recorder(), b"t/")
        self.recorded = RecordedWatch(Watch(key=b"t/"))
        self.requests = 0
        self.telling = asyncio.ensure_future(
            self.watchers.told_through(_LAST, self.recorded, self._request_progress)
        )

    def _request_progress(self) -> None:
        self.requests += 1

    def tell(self) -> None:
        self.recorded.add(Batch(revision=_LAST, is_progress=True))


async def test_a_fault_may_hold_as_long_as_it_likes() -> None:
    asked = _Asked()
    with asked.watchers.disturbed():
        await asyncio.sleep(_HOLD_SECONDS)
    await asyncio.sleep(STILL_SECONDS_MAX / 2)
    assert not asked.telling.done()
    assert asked.requests > 0
    asked.tell()
    await asked.telling
    assert asked.recorded.through_revision == _LAST


async def test_a_watch_that_is_never_told_is_found_out_between_faults() -> None:
    """The time between many short faults counts together."""
    asked = _Asked()
    rounds = 0
    while not asked.telling.done():
        with asked.watchers.disturbed():
            await asyncio.sleep(5.0)
        await asyncio.sleep(10.0)
        rounds += 1
    assert rounds == pytest.approx(STILL_SECONDS_MAX / 10.0, abs=2)
    with pytest.raises(ViolationError, match="at revision 0 and does not reach 7"):
        await asked.telling


async def test_a_watch_that_has_much_to_tell_may_take_its_time() -> None:
    asked = _Asked()
    for revision in range(1, _LAST):
        await asyncio.sleep(STILL_SECONDS_MAX - 1)
        asked.recorded.add(Batch(revision=revision, is_progress=True))
    await asyncio.sleep(STILL_SECONDS_MAX - 1)
    assert not asked.telling.done()
    asked.tell()
    await asked.telling


async def test_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.testing.torture.watchers.CATCH_UP_SECONDS_MAX", 300.0)
    asked = _Asked()
    for revision in range(1, _LAST):
        await asyncio.sleep(STILL_SECONDS_MAX - 1)
        asked.recorded.add(Batch(revision=revision, is_progress=True))
    with pytest.raises(ViolationError, match="does not reach 7"):
        await asked.telling
