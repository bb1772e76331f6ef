"""Keys that are compared and written in the Txn of an object, so that both hold or neither.

An address is taken by the Txn that writes its owner, a quota counted by the Txn that uses it up,
and whoever leads compares who leads: there is nothing to repair afterwards.
"""

from collections.abc import Sequence

import msgspec

from controlplane.api.errors import ApiError, conflict
from controlplane.api.resource import Resource
from kvstore.client import ModRevision, RangeResponse, get, put
from kvstore.commands import Compare, Operation


class Claim(msgspec.Struct, frozen=True):
    """A key that is compared and written in the Txn of an object: an address, a quota.

    value     what is written; None: it is compared only, which guards the object's write
    expected  its mod revision before; 0: it does not exist
    """

    key: bytes
    value: bytes | None
    expected: int = 0


class ClaimLostError(ApiError):
    """409: somebody else wrote a claimed or guarding key; the object was not written."""

    def __init__(self, resource: Resource, name: str, keys: Sequence[bytes]) -> None:
        told = conflict(resource.plural, resource.group, name)
        super().__init__(
            409, told.reason, told.message, name=name, group=resource.group, kind=resource.plural
        )
        self.keys = tuple(keys)


def compares(claims: Sequence[Claim]) -> list[Compare]:
    """What must hold for the Txn to write."""
    return [ModRevision(claim.key) == claim.expected for claim in claims]


def puts(claims: Sequence[Claim]) -> list[Operation]:
    """What the Txn writes besides its object."""
    return [put(claim.key, claim.value) for claim in claims if claim.value is not None]


def gets(claims: Sequence[Claim]) -> list[Operation]:
    """What the Txn reads of the claims when it does not write."""
    return [get(claim.key, keys_only=True) for claim in claims]


def ranges(responses: Sequence[object]) -> list[RangeResponse]:
    """The answers to reads among those of a Txn."""
    return [response for response in responses if isinstance(response, RangeResponse)]


def lost(claims: Sequence[Claim], current: Sequence[RangeResponse]) -> list[bytes]:
    """Keys of the claims whose compare failed."""
    revisions = [answer.kvs[0].mod_revision if answer.kvs else 0 for answer in current]
    return [
        claim.key
        for claim, revision in zip(claims, revisions, strict=True)
        if revision != claim.expected
    ]
