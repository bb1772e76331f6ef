"""Who has which place: the plans of all services, and what changes when one of them does. PURE."""

import msgspec

from controlplane.indexer import Key
from controlplane.network.plan import Backend, Place, Wanted

Rank = tuple[str, Key]
"""The service with the smallest has a place that several want: when it was made, and its key."""


class Difference(msgspec.Struct, frozen=True):
    """What has to be done so that what was listened on before is what is listened on now."""

    opened: dict[Place, Backend]
    changed: dict[Place, Backend]
    closed: list[Place]


def difference(before: Wanted, after: Wanted) -> Difference:
    """From one plan to another. A place whose backend has no endpoint is not listened on: the
    kernel refuses its connections, which is what such a service's clients shall see.
    """
    was = {place: backend for place, backend in before.items() if backend.endpoints}
    now = {place: backend for place, backend in after.items() if backend.endpoints}
    return Difference(
        opened={place: backend for place, backend in now.items() if place not in was},
        changed={
            place: backend
            for place, backend in now.items()
            if place in was and was[place] != backend
        },
        closed=[place for place in was if place not in now],
    )


class Table:
    """The plans of all services."""

    def __init__(self) -> None:
        self._places: dict[Key, tuple[Place, ...]] = {}
        self._claims: dict[Place, dict[Rank, Backend]] = {}

    def put(self, key: Key, created: str, wanted: Wanted) -> Difference:
        """What a service wants from now on; nothing: it is gone.

        created  when it was made (RFC 3339)
        """
        touched = {*self._places.get(key, ()), *wanted}
        before = self._held(touched)
        for place in self._places.pop(key, ()):
            self._release(place, key)
        for place, backend in wanted.items():
            self._claims.setdefault(place, {})[(created, key)] = backend
        if wanted:
            self._places[key] = tuple(wanted)
        return difference(before, self._held(touched))

    def holder(self, place: Place) -> Key | None:
        """The service whose connections a place takes."""
        claims = self._claims.get(place)
        return min(claims)[1] if claims else None

    def _release(self, place: Place, key: Key) -> None:
        claims = {rank: one for rank, one in self._claims[place].items() if rank[1] != key}
        if claims:
            self._claims[place] = claims
        else:
            del self._claims[place]

    def _held(self, places: set[Place]) -> dict[Place, Backend]:
        found = ((place, self._claims.get(place)) for place in places)
        return {place: claims[min(claims)] for place, claims in found if claims}
