"""Objects that go by themselves: the leases of the store to which they are attached.

One lease serves many objects that are written at about the same time: the store keeps account of
each lease, and events come by the thousands. An object lives for at least its time, and at most a
twentieth longer.
"""

from collections.abc import Mapping

import msgspec

from controlplane.api.resource import Resource
from kvstore.client import Client
from kvstore.client.clock import AsyncioClock
from kvstore.seams import Clock

EVENT_SECONDS = 3600  # kube-behaviour.md 3.5: events are kept for an hour
TTL_SECONDS: Mapping[str, int] = {
    "/registry/core/events/": EVENT_SECONDS,
}
"""How long objects live, by the prefix of their keys; others live until they are deleted."""

_SHARE = 20  # a lease is used for new objects during one part in so many of its time
_OBJECTS_MAX = 1000  # of one lease: its end is one change of the store, which must not be huge


class _Lease(msgspec.Struct):
    lease_id: int
    until: float
    objects: int


class Expiry:
    """The lease to which a new object is attached."""

    def __init__(self, client: Client, *, clock: Clock | None = None) -> None:
        self._client = client
        self._clock = clock or AsyncioClock()
        self._leases: dict[str, _Lease] = {}

    async def lease_id(self, resource: Resource) -> int:
        """For an object that is written now; 0: it stays. Raises KvError."""
        ttl = TTL_SECONDS.get(resource.key_prefix)
        if ttl is None:
            return 0
        lease = self._leases.get(resource.key_prefix)
        now = self._clock.now()
        if lease is None or now >= lease.until or lease.objects >= _OBJECTS_MAX:
            window = ttl // _SHARE
            granted = await self._client.leases.grant(ttl + window)
            lease = self._leases[resource.key_prefix] = _Lease(granted.lease_id, now + window, 0)
        lease.objects += 1
        return lease.lease_id

    def forget(self) -> None:
        """A lease is gone, against expectation: take no more of those that are known."""
        self._leases.clear()
