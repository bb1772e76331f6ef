"""What a failure of the store means to a client of the API: the one table between the two."""

from collections.abc import Iterator
from contextlib import contextmanager

from controlplane.api.errors import (
    ApiError,
    expired,
    internal,
    service_unavailable,
    timeout,
    too_large,
    too_new,
)
from kvstore.errors import (
    CompactedError,
    FutureRevisionError,
    KvError,
    NoSpaceError,
    RequestTooLargeError,
    UnavailableError,
)


@contextmanager
def as_api_errors() -> Iterator[None]:
    """Raise what the store raises as the ApiError that tells of it."""
    try:
        yield
    except KvError as error:
        raise api_error_of(error) from error


def api_error_of(error: KvError) -> ApiError:
    """503: surely nothing was written. 504: perhaps a write was made, or yet will be."""
    match error:
        case UnavailableError() if error.may_have_been_applied:
            return timeout(f"the store did not answer in time; the outcome is unknown: {error}")
        case UnavailableError():
            return service_unavailable(f"the store is not available: {error}")
        case CompactedError():
            return expired(
                f"too old resource version: {error.requested - 1} ({error.compacted})"
                if error.requested  # a watch: it asks for what comes after
                else "The resourceVersion for the provided list is too old."
            )
        case FutureRevisionError():
            return too_new(error.requested, error.current)
        case RequestTooLargeError():
            return too_large("the object is too large for the store")
        case NoSpaceError():
            return service_unavailable("the store has no space left")
        case _:
            return internal(f"the store refused: {error}")
