"""Keeps a copy of a resource's objects current: list, watch, and list again when that is lost.

    reflector = Reflector(store, PODS, sink)
    await reflector.run()          # until it is cancelled

Whatever fails, it begins again, ever later: what depends on it has no other eyes.
It knows neither indexes nor handlers: whoever wants the objects is its sink.
"""

import asyncio
import logging
import random as dice
from collections.abc import Collection, Sequence
from functools import partial
from typing import Protocol

from controlplane.api.errors import ApiError
from controlplane.api.resource import Resource
from controlplane.indexer import Key
from controlplane.objects import Change, ObjectStore, ObjectWatch
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock, Random

PAGE_OBJECTS = 500  # of one answer: client-go's
FIRST_DELAY_SECONDS = 0.8  # client-go's back-off: 0.8 s, doubled up to 30 s, and up to twice that
DELAY_SECONDS_MAX = 30.0
CALM_SECONDS = 120.0  # client-go's: so long nothing unexpected must come before it is forgotten
SILENCE_SECONDS_MAX = 60.0  # a store says something at least every ten minutes, or when asked
ANSWER_SECONDS_MAX = 15.0  # outlasts an election and a member's fail-over

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Who is told of a resource's objects. Its methods do not wait."""

    def replace(
        self, objects: dict[Key, bytes], revision: int, unreadable: Collection[Key]
    ) -> None:
        """These are all there are, as of `revision`, but for those that cannot be read now."""

    def apply(self, changes: Sequence[tuple[Key, Change]], revision: int) -> None:
        """What has changed since; no changes: nothing has, up to `revision`."""


class DeadWatchError(Exception):
    """A watch that says nothing, not even when asked."""


class Reflector:
    """One resource, in one namespace or all.

    name     of what it tells, for people
    lists    how often everything was read
    watches  how often a watch was begun
    """

    def __init__(
        self,
        store: ObjectStore,
        resource: Resource,
        sink: Sink,
        *,
        namespace: str = "",
        clock: Clock | None = None,
        random: Random | None = None,
        silence_seconds_max: float = SILENCE_SECONDS_MAX,
    ) -> None:
        self.name = resource.plural
        self.lists = 0
        self.watches = 0
        self._store = store
        self._resource = resource
        self._sink = sink
        self._namespace = namespace
        self._clock = clock or AsyncioClock()
        self._random = random or dice.Random()
        self._silence_seconds_max = silence_seconds_max
        self._revision = 0
        """All up to it was told; 0: nothing was, or not all that there is."""
        self._failures = 0
        self._calm_at = 0.0

    async def run(self) -> None:
        """Work until cancelled; whatever is refused, or fails, is tried again, ever later."""
        self._revision = 0
        while True:
            try:
                if not self._revision:
                    self._revision = await self._list()
                await self._follow()
                # Of a member that does not answer, a call tells the client to take another.
                await self._store.revision()
            except ApiError as error:
                logger.info("%s: %s", self.name, error)
                if error.code == 410:  # 2.7: what came since is forgotten: only all will do
                    self._revision = 0
            except Exception:
                # A fault of ours. What was told by half, a list tells as a whole.
                logger.exception("%s: unexpected, all is read again", self.name)
                self._revision = 0
                self._calm_at = self._clock.now() + CALM_SECONDS
            await self._clock.sleep(self._delay())

    async def _list(self) -> int:
        """Read all, in pages of one revision, and begin to tell of it; the revision."""
        objects: dict[Key, bytes] = {}
        unreadable: set[Key] = set()
        token = ""
        prefix = len(self._resource.key_prefix)
        while True:
            page = await self._store.list(
                self._resource, self._namespace, limit=PAGE_OBJECTS, continue_token=token
            )
            for key, raw in zip(page.keys, page.raw, strict=True):
                objects[_key(key[prefix:])] = raw
            unreadable.update(_key(key[prefix:]) for key in page.unreadable)
            token = page.continue_token
            if not token:
                break
        self.lists += 1
        self._sink.replace(objects, page.revision, unreadable)
        return page.revision

    async def _follow(self) -> None:
        """Tell of all changes until the watch is dead. However it ends, nothing is told again: who
        has seen a change must not see what was before it.
        """
        self.watches += 1
        prefix = len(self._resource.key_prefix)
        async with self._store.watch(self._resource, self._namespace, self._revision) as watch:
            try:
                while True:
                    changes = await self._next(watch)
                    told = [(_key(change.key[prefix:]), change) for change in changes]
                    self._sink.apply(told, watch.revision)
                    self._revision = watch.revision
                    if self._clock.now() >= self._calm_at:
                        self._failures = 0
            except (DeadWatchError, StopAsyncIteration):
                logger.warning("%s: a watch is dead, begin another", self.name)

    async def _next(self, watch: ObjectWatch) -> list[Change]:
        """The next changes. A watch that is silent is asked once whether it is alive."""
        waiting = asyncio.ensure_future(anext(watch))
        try:
            for seconds in (self._silence_seconds_max, ANSWER_SECONDS_MAX):
                await self._wait(waiting, seconds)
                if waiting.cancelled():  # not by us, who would not come to this line
                    raise DeadWatchError
                if waiting.done():
                    return waiting.result()
                watch.request_progress()
            raise DeadWatchError
        finally:
            waiting.cancel()

    async def _wait(self, waiting: "asyncio.Future[list[Change]]", seconds: float) -> None:
        """Until there is something, or for so long by our clock."""
        if waiting.done():
            return
        ring = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(_ring, ring))
        try:
            await asyncio.wait({waiting, ring}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            ring.cancel()

    def _delay(self) -> float:
        """Up to twice what is told, so that who failed together comes back apart."""
        delay = min(FIRST_DELAY_SECONDS * 2.0 ** min(self._failures, 16), DELAY_SECONDS_MAX)
        self._failures += 1
        return delay * (1.0 + self._random.random())


def _ring(ring: "asyncio.Future[None]") -> None:
    if not ring.done():
        ring.set_result(None)


def _key(place: bytes) -> Key:
    # A key that is no text is nobody's object, and must not be taken for one either.
    namespace, _, name = place.decode(errors="surrogateescape").rpartition("/")
    return Key(namespace, name)
