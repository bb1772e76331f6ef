"""A watch on objects: the store's events, as bytes that clients can be given.

What cannot be read is left out: nobody hears of it until it can, or is deleted.
"""

from types import TracebackType
from typing import Literal, Self

import msgspec

from controlplane.api import stored
from controlplane.api.resource import Object, Resource
from controlplane.codec import Codec
from controlplane.store_errors import as_api_errors
from kvstore.client import Client, Event, EventType


class Change(msgspec.Struct, frozen=True):
    """An object was written or removed.

    raw       the object, resourceVersion included (in the storage version); of a removed one its
              last state with the revision of the removal (2.4), or nothing, if that is compacted
              or cannot be read
    previous  what it was before; None: it is new, or that is compacted or cannot be read
    """

    type: Literal["PUT", "DELETE"]
    key: bytes
    raw: bytes
    previous: bytes | None
    revision: int

    def object(self, resource: Resource) -> Object | None:
        """The object, decoded anew each time; None: nothing is known of it but its key."""
        return stored.loads(resource, self.raw) if self.raw else None


class ObjectWatch:
    """Changes in the order of their revisions, in lists of whole revisions.

    It outlives lost connections and members. It raises ApiError 410 when its next revision is
    compacted: read all again. An empty list is a sign of life.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        prefix: bytes,
        revision: int,
        codec: Codec,
    ) -> None:
        self.revision = revision
        """All changes up to here have been delivered (0: not known yet): go on from here."""
        self.progress = revision
        """The same, and as far as answers to `request_progress` say."""
        self._was_asked = False
        self._resource = resource
        self._codec = codec
        self._watch = client.watch(
            prefix,
            prefix=True,
            start_revision=revision + 1 if revision else 0,
            prev_kv=True,
            progress_notify=True,
            fragment=True,
        )

    async def created(self) -> int:
        """Wait until the store has confirmed it; all changes after the result will be told."""
        with as_api_errors():
            first = await self._watch.created()
        self.revision = max(self.revision, first - 1)
        self.progress = max(self.progress, self.revision)
        return first - 1

    def request_progress(self) -> None:
        """Ask for a sign of life now; `progress` tells what it says.

        etcd before 3.4.25 and 3.5.8 may answer ahead of events that are under way, so no answer
        moves `revision`: who went on from there might miss them.
        """
        self._was_asked = True
        self._watch.request_progress()

    def cancel(self) -> None:
        """End it; what has arrived can still be read."""
        self._watch.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Change]:
        with as_api_errors():
            batch = await anext(self._watch)
        told = map(self._change, batch.events)
        changes = [change for change in told if change is not None]
        self.progress = max(self.progress, batch.revision)
        if batch.events or not self._was_asked:
            self.revision = max(self.revision, batch.revision)
        return changes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    def _change(self, event: Event) -> Change | None:
        """None: what was written cannot be read."""
        kv, prev = event.kv, event.prev_kv
        previous = None if prev is None else self._codec.raw(self._resource, prev)
        if event.type is EventType.PUT:
            raw = self._codec.raw(self._resource, kv)
            return None if raw is None else Change("PUT", kv.key, raw, previous, kv.mod_revision)
        last = None if prev is None else self._codec.raw(self._resource, prev, kv.mod_revision)
        return Change("DELETE", kv.key, last or b"", previous, kv.mod_revision)
