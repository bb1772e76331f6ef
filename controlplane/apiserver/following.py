"""A watch under way: what its client gets, as fast as it takes it.

A client that lags holds no events: only its position is kept, and it catches up from the changes
that the cache remembers for all. If these have gone on without it, its watch ends with 410 Expired
and it lists again, as Kubernetes' clients do. One that takes nothing is cut (`Sink.drained`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import msgspec

from controlplane.api import errors
from controlplane.apiserver.cacher import Cacher
from controlplane.apiserver.call import Call, Sink
from controlplane.apiserver.recent import Change
from controlplane.apiserver.selection import Selection
from controlplane.apiserver.watches import Watcher, error_line

BOOKMARK_SECONDS = 60.0
_CATCH_UP_COUNT = 64  # changes looked at between two looks at the client
_SLICE_BYTES = 64 * 1024


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked for.

    revision      what it has seen; -1: nothing, it wants all there is
    seconds       how long it lasts
    ends_initial  a bookmark says where what was there ends
    """

    selection: Selection
    revision: int
    seconds: float
    has_bookmarks: bool
    ends_initial: bool


class Following:
    """now: seconds since 1970."""

    def __init__(self, cacher: Cacher, call: Call, wish: Wish, now: Callable[[], float]) -> None:
        resource = call.resource
        self._wish = wish
        self._cache = cacher.cache
        self._changes = self._cache.of(*resource.place)
        self._watcher = Watcher(
            resource, wish.selection, call.form, now=now, revision=max(wish.revision, 0)
        )
        self._woken = asyncio.Event()
        self._is_behind = True  # and catches up; what comes meanwhile the cache remembers

    async def run(self, sink: Sink) -> None:
        """Until its time is over or its client has gone. Raises StalledError."""
        end = self._changes.subscribe(lambda changes, revision: self._told(sink, changes, revision))
        try:
            async with asyncio.timeout(self._wish.seconds):
                if self._wish.revision < 0:
                    await self._begin(sink)
                await self._follow(sink)
        except TimeoutError:
            self._mark(sink)  # 2.5: shortly before its end
        finally:
            end()

    async def _begin(self, sink: Sink) -> None:
        """What is there already."""
        snapshot = self._changes.snapshot(self._wish.selection.prefix)
        self._watcher.step((), self._cache.revision)
        await _pour(sink, self._watcher.initial(snapshot))
        if self._wish.ends_initial and self._wish.has_bookmarks:
            await _pour(sink, [self._watcher.bookmark(ends_initial_events=True)])

    async def _follow(self, sink: Sink) -> None:
        while await self._catch_up(sink):
            # Nothing has happened since it was found to have all.
            self._is_behind = False
            self._woken.clear()
            if not await _is_set(self._woken, BOOKMARK_SECONDS):
                self._mark(sink)
            self._is_behind = True

    async def _catch_up(self, sink: Sink) -> bool:
        """Return once it has all; False: it cannot, and its client was told so."""
        while True:
            await sink.drained()
            missed = self._changes.since(self._watcher.revision, _CATCH_UP_COUNT)
            if missed is None or (not missed and self._changes.is_retired):
                sink.write(error_line(self._expired().status))
                return False
            if not missed:
                return True
            self._take(sink, missed)

    def _told(self, sink: Sink, changes: Sequence[Change], revision: int) -> None:
        """Changes as they come go to a client that keeps up at once."""
        if self._is_behind:
            return
        # What fails here, in whoever tells all, fails again in its own task: the others go on.
        with contextlib.suppress(Exception):
            if changes and self._take(sink, changes):
                self._watcher.step((), revision)
                return
        self._is_behind = True
        self._woken.set()

    def _take(self, sink: Sink, changes: Sequence[Change]) -> bool:
        """Write as much as the client takes, all of a revision or nothing; False: it was less."""
        for revision, same in groupby(changes, key=_revision):
            if not sink.is_writable:
                return False
            lines = self._watcher.step(same, revision)
            if lines:
                sink.write(lines)
        return True

    def _mark(self, sink: Sink) -> None:
        if self._wish.has_bookmarks and not self._is_behind:
            self._watcher.step((), self._cache.revision)
            sink.write(self._watcher.bookmark())

    def _expired(self) -> errors.ApiError:
        if self._changes.is_retired:
            return errors.expired("too old resource version: the cache was filled anew")
        first = self._changes.first_revision
        return errors.expired(f"too old resource version: {self._watcher.revision} ({first})")


async def _pour(sink: Sink, lines: Iterable[bytes]) -> None:
    """Write it all, as fast as the client takes it."""
    gathered: list[bytes] = []
    size = 0
    for line in lines:
        gathered.append(line)
        size += len(line)
        if size >= _SLICE_BYTES:
            await sink.drained()
            sink.write(b"".join(gathered))
            gathered, size = [], 0
    await sink.drained()
    sink.write(b"".join(gathered))


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    """Whether it happens within some time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _revision(change: Change) -> int:
    return change.revision
