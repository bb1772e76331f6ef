"""Lists of objects: all of one revision, in pages."""

from collections.abc import Sequence

import msgspec

from controlplane.api import continuation, stored
from controlplane.api.continuation import Continuation
from controlplane.api.resource import Object, Resource
from controlplane.codec import Codec
from controlplane.store_errors import as_api_errors
from kvstore.client import Client
from kvstore.client.operations import prefix_end

CHUNK_OBJECTS = 2_000  # of one read of a list without limit: bounds the size of one answer


class Page(msgspec.Struct, frozen=True):
    """Objects of one revision, in key order.

    keys        where they are
    raw         bytes of each, resourceVersion included (in the storage version)
    revision    of the whole list
    remaining   how many come after it; None: nothing, or nobody knows
    unreadable  where there are others, which are left out since they cannot be read
    """

    resource: Resource
    keys: list[bytes]
    raw: list[bytes]
    revision: int
    continue_token: str = ""
    remaining: int | None = None
    unreadable: Sequence[bytes] = ()

    @property
    def items(self) -> list[Object]:
        """The objects, decoded anew each time."""
        return [stored.loads(self.resource, raw) for raw in self.raw]


class Pages:
    """Reads them."""

    def __init__(self, client: Client, codec: Codec) -> None:
        self._client = client
        self._codec = codec

    async def read(
        self, resource: Resource, prefix: bytes, start: bytes, *, limit: int, revision: int
    ) -> Page:
        """One page from `start` on; without limit (0) all, in chunks of one revision.

        revision  0: the current one
        """
        keys: list[bytes] = []
        raw: list[bytes] = []
        unreadable: list[bytes] = []
        end = prefix_end(prefix)
        while True:
            with as_api_errors():
                answer = await self._client.get_range(
                    start, end, limit=limit or CHUNK_OBJECTS, revision=revision
                )
            revision = revision or answer.header.revision
            for kv in answer.kvs:
                found = self._codec.raw(resource, kv)
                if found is None:
                    unreadable.append(kv.key)
                else:
                    keys.append(kv.key)
                    raw.append(found)
            if not answer.more:
                return Page(resource, keys, raw, revision, unreadable=unreadable)
            start = answer.kvs[-1].key + b"\0"
            place = _text(start[len(prefix) :])
            if limit and place:
                token = continuation.encode(Continuation(revision, place))
                remaining = answer.count - len(answer.kvs)
                return Page(resource, keys, raw, revision, token, remaining, unreadable)


def _text(place: bytes) -> str:
    """Empty: it is none, and no token can name it, so that the page goes on behind it."""
    try:
        return place.decode()
    except UnicodeDecodeError:
        return ""
