"""Errors and what they look like on the wire: gRPC code and etcd's exact text, one table.

Clients of etcd match the text, so it is part of the API. Pure; knows neither a transport nor a
service. A new error class needs one row here; a test finds it missing.
"""

from typing import NamedTuple

from kvstore.errors import (
    AuthNotEnabledError,
    BadLeaderTransfereeError,
    CompactedError,
    ConnectionLostTimeoutError,
    CorruptError,
    DuplicateKeyError,
    EmptyKeyError,
    FutureRevisionError,
    InvalidSortOptionError,
    KeyNotFoundError,
    KvError,
    LeaderChangedError,
    LeaderFailureTimeoutError,
    LeaderTransferTimeoutError,
    LearnerError,
    LearnerNotReadyError,
    LeaseExistsError,
    LeaseNotFoundError,
    LeaseProvidedError,
    LeaseTtlTooLargeError,
    MalformedRequestError,
    MemberExistsError,
    MemberNotFoundError,
    MemberNotLearnerError,
    MembershipBusyError,
    MembersNotStartedError,
    MemberTooLargeError,
    MemberUrlsError,
    NoLeaderError,
    NoSpaceError,
    NotLeaderError,
    PeerUrlExistsError,
    RequestError,
    RequestTimeoutError,
    RequestTooLargeError,
    ResponseTooLargeError,
    StoppedError,
    TooManyLearnersError,
    TooManyOperationsError,
    TooManyRequestsError,
    UnavailableError,
    UnhealthyClusterError,
    UnknownMethodError,
    UnknownServiceError,
    UnsupportedError,
    ValueProvidedError,
    WatchCanceledError,
)
from kvstore.urls import URL_BYTES_MAX, URLS_MAX


class Status(NamedTuple):
    """A gRPC status; `code` is the code's name, as gRPC spells it."""

    code: str
    text: str


STATUSES: dict[type[KvError], Status] = {
    EmptyKeyError: Status("INVALID_ARGUMENT", "etcdserver: key is not provided"),
    KeyNotFoundError: Status("INVALID_ARGUMENT", "etcdserver: key not found"),
    ValueProvidedError: Status("INVALID_ARGUMENT", "etcdserver: value is provided"),
    LeaseProvidedError: Status("INVALID_ARGUMENT", "etcdserver: lease is provided"),
    DuplicateKeyError: Status("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request"),
    TooManyOperationsError: Status(
        "INVALID_ARGUMENT", "etcdserver: too many operations in txn request"
    ),
    InvalidSortOptionError: Status("INVALID_ARGUMENT", "etcdserver: invalid sort option"),
    RequestTooLargeError: Status("INVALID_ARGUMENT", "etcdserver: request is too large"),
    CompactedError: Status(
        "OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"
    ),
    FutureRevisionError: Status(
        "OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"
    ),
    LeaseNotFoundError: Status("NOT_FOUND", "etcdserver: requested lease not found"),
    LeaseExistsError: Status("FAILED_PRECONDITION", "etcdserver: lease already exists"),
    LeaseTtlTooLargeError: Status("OUT_OF_RANGE", "etcdserver: too large lease TTL"),
    NoSpaceError: Status("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded"),
    CorruptError: Status("DATA_LOSS", "etcdserver: corrupt cluster"),
    MemberNotFoundError: Status("NOT_FOUND", "etcdserver: member not found"),
    MemberExistsError: Status("FAILED_PRECONDITION", "etcdserver: member ID already exist"),
    PeerUrlExistsError: Status("FAILED_PRECONDITION", "etcdserver: Peer URLs already exists"),
    MemberUrlsError: Status("INVALID_ARGUMENT", "etcdserver: given member URLs are invalid"),
    # etcd has no limit.
    MemberTooLargeError: Status(
        "INVALID_ARGUMENT",
        f"etcdserver: a member has at most {URLS_MAX} URLs, of at most {URL_BYTES_MAX} bytes",
    ),
    # etcd means another code, and sends this one.
    MembersNotStartedError: Status(
        "UNKNOWN", "etcdserver: re-configuration failed due to not enough started members"
    ),
    MemberNotLearnerError: Status(
        "FAILED_PRECONDITION", "etcdserver: can only promote a learner member"
    ),
    LearnerNotReadyError: Status(
        "FAILED_PRECONDITION",
        "etcdserver: can only promote a learner member which is in sync with leader",
    ),
    TooManyLearnersError: Status(
        "FAILED_PRECONDITION", "etcdserver: too many learner members in cluster"
    ),
    BadLeaderTransfereeError: Status("FAILED_PRECONDITION", "etcdserver: bad leader transferee"),
    NotLeaderError: Status("FAILED_PRECONDITION", "etcdserver: not leader"),
    AuthNotEnabledError: Status("FAILED_PRECONDITION", "etcdserver: authentication is not enabled"),
    # etcd has no code for this one: its clients do not repeat the call.
    LeaderTransferTimeoutError: Status(
        "UNKNOWN", "etcdserver: request timed out, leader transfer took too long"
    ),
    WatchCanceledError: Status("CANCELLED", "etcdserver: watch canceled"),
    UnknownServiceError: Status("NOT_FOUND", "unknown service"),
    NoLeaderError: Status("UNAVAILABLE", "etcdserver: no leader"),
    LeaderChangedError: Status("UNAVAILABLE", "etcdserver: leader changed"),
    RequestTimeoutError: Status("UNAVAILABLE", "etcdserver: request timed out"),
    LeaderFailureTimeoutError: Status(
        "UNAVAILABLE",
        "etcdserver: request timed out, possibly due to previous leader failure",
    ),
    ConnectionLostTimeoutError: Status(
        "UNAVAILABLE", "etcdserver: request timed out, possibly due to connection lost"
    ),
    TooManyRequestsError: Status("RESOURCE_EXHAUSTED", "etcdserver: too many requests"),
    ResponseTooLargeError: Status(
        "RESOURCE_EXHAUSTED", "grpc: trying to send message larger than max (2147483647)"
    ),
    StoppedError: Status("UNAVAILABLE", "etcdserver: server stopped"),
    UnhealthyClusterError: Status("UNAVAILABLE", "etcdserver: unhealthy cluster"),
    LearnerError: Status("UNAVAILABLE", "etcdserver: rpc not supported for learner"),
    # etcd lets the second change time out; its clients repeat what is unavailable, or not, alike.
    MembershipBusyError: Status(
        "UNAVAILABLE", "etcdserver: another change of the membership is under way"
    ),
}

# Errors whose text is the message of the instance, after a prefix that tells them apart.
PREFIXES: dict[type[KvError], Status] = {
    UnsupportedError: Status("UNIMPLEMENTED", "etcdserver: not supported yet: "),
    UnknownMethodError: Status("UNIMPLEMENTED", "unknown "),
    MalformedRequestError: Status("INTERNAL", "grpc: error unmarshalling request: "),
}

# What a code without a known text means to a client: UNAVAILABLE may pass, the rest will not.
_BASES: dict[str, type[KvError]] = {
    "UNAVAILABLE": UnavailableError,
    "DEADLINE_EXCEEDED": RequestTimeoutError,
    # gRPC's own limit on the size of a message speaks before etcd's does.
    "RESOURCE_EXHAUSTED": RequestTooLargeError,
}
_ERRORS: dict[str, type[KvError]] = {status.text: error for error, status in STATUSES.items()}


def status_of(error: KvError) -> Status:
    """The status that tells a client of `error`."""
    status = STATUSES.get(type(error))
    if status is not None:
        return status
    code = "UNAVAILABLE" if isinstance(error, UnavailableError) else "UNKNOWN"
    code, prefix = PREFIXES.get(type(error), (code, ""))
    return Status(code, prefix + str(error))


def error_of(code: str, text: str) -> KvError:
    """The error that a status tells of: by its text, which is its message, else by its code."""
    known = _ERRORS.get(text)
    if known is not None:
        error = known()
        error.args = (text,)  # whatever it says of itself: its numbers did not come along
        return error
    for prefixed, status in PREFIXES.items():
        if status.code == code and text.startswith(status.text):
            return prefixed(text.removeprefix(status.text))
    return _BASES.get(code, RequestError)(text)
