"""Continue tokens of lists that come in pages: where to go on, and at which revision. PURE.

Opaque to clients (Kubernetes API concepts, "Retrieving large results sets in chunks"). A token
that is too old is answered with a fresh one, whose list is not consistent with the first pages.
"""

import base64
import binascii

import msgspec

from controlplane.api.errors import ApiError, bad_request

_FORMAT = "meta.k8s.io/v1"
INCONSISTENT = -1
"""The revision of a token whose list goes on at whatever revision is current."""

_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response "
    "to retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


class Continuation(msgspec.Struct, frozen=True):
    """Where a list goes on.

    revision  of all its pages, or INCONSISTENT
    start     the first key that may come next, without the prefix of what is listed
    """

    revision: int
    start: str


class ExpiredTokenError(ApiError):
    """410: the pages' revision is compacted; the status holds a token to go on with."""

    def __init__(self, continue_token: str) -> None:
        super().__init__(410, "Expired", _EXPIRED)
        self.continue_token = continue_token

    @property
    def status(self) -> dict[str, object]:
        """The `Status` object, with `metadata.continue`."""
        return {**super().status, "metadata": {"continue": self.continue_token}}


class _Token(msgspec.Struct, frozen=True):
    v: str
    rv: int
    start: str


def encode(continuation: Continuation) -> str:
    """The token for a client."""
    token = _Token(_FORMAT, continuation.revision, continuation.start)
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def decode(token: str) -> Continuation:
    """What a token says. Raises ApiError 400 for one that we did not make."""
    try:
        padded = token + "=" * (-len(token) % 4)
        told = msgspec.json.decode(
            base64.b64decode(padded, altchars=b"-_", validate=True), type=_Token
        )
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise bad_request(f"continue key is not valid: {error}") from None
    is_revision = 0 < told.rv < 2**63 or told.rv == INCONSISTENT
    if told.v != _FORMAT or not is_revision or not told.start:
        raise bad_request("continue key is not valid: it is none of ours")
    return Continuation(told.rv, told.start)


def expired(continuation: Continuation) -> ExpiredTokenError:
    """410 for a token whose revision is compacted."""
    return ExpiredTokenError(encode(Continuation(INCONSISTENT, continuation.start)))
