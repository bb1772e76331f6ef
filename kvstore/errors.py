"""The tree of errors, by whose fault it is. `rpc_errors` gives each its gRPC code and etcd's text.

    KvError
    ├── RequestError         the caller asked for something that cannot be
    │   └── …
    ├── UnavailableError     the cluster cannot answer now; the outcome may be unknown
    │   └── …
    └── OperatorError        configuration, data folder or disk: the member refuses to run
        └── …

Our own bugs are `assert`s and never appear here.
"""


class KvError(Exception):
    """Anything that a caller, the cluster or an operator can cause."""


class RequestError(KvError):
    """The request can never succeed as it is (or not before the caller changes something)."""


class EmptyKeyError(RequestError):
    """No key in a request that needs one."""


class KeyNotFoundError(RequestError):
    """`ignore_value` or `ignore_lease` on a key that does not exist."""


class ValueProvidedError(RequestError):
    """`ignore_value` together with a value."""


class LeaseProvidedError(RequestError):
    """`ignore_lease` together with a lease."""


class DuplicateKeyError(RequestError):
    """One txn writes a key twice."""


class TooManyOperationsError(RequestError):
    """A txn has more operations (or compares) than `--max-txn-ops`."""


class InvalidSortOptionError(RequestError):
    """A sort order or target outside the enumeration."""


class RequestTooLargeError(RequestError):
    """The request exceeds `--max-request-bytes`."""


class CompactedError(RequestError):
    """The revision asked for has been compacted."""

    def __init__(self, requested: int = 0, compacted: int = 0) -> None:
        """A client that reads the error from a status does not know the revisions: 0."""
        super().__init__(f"revision {requested} is compacted (compact revision {compacted})")
        self.requested = requested
        self.compacted = compacted


class FutureRevisionError(RequestError):
    """The revision asked for does not exist yet."""

    def __init__(self, requested: int = 0, current: int = 0) -> None:
        """A client that reads the error from a status does not know the revisions: 0."""
        super().__init__(f"revision {requested} is not reached yet (current {current})")
        self.requested = requested
        self.current = current


class LeaseNotFoundError(RequestError):
    """No lease has this id."""


class LeaseExistsError(RequestError):
    """The chosen lease id is taken."""


class LeaseTtlTooLargeError(RequestError):
    """The TTL exceeds etcd's limit of 9,000,000,000 seconds."""


class NoSpaceError(RequestError):
    """The space quota is used up and the NOSPACE alarm is raised."""


class CorruptError(RequestError):
    """The CORRUPT alarm is raised; nothing may be written."""


class MemberNotFoundError(RequestError):
    """No member has this id."""


class MemberExistsError(RequestError):
    """A member has this id already."""


class PeerUrlExistsError(RequestError):
    """A member has this peer URL already."""


class MemberUrlsError(RequestError):
    """The peer URLs given for a member are none."""


class MemberTooLargeError(RequestError):
    """A member's peer URLs are too many, or one of them is too long."""


class MembersNotStartedError(RequestError):
    """The change would leave fewer started members than a quorum."""


class MemberNotLearnerError(RequestError):
    """Only a learner can be promoted."""


class LearnerNotReadyError(RequestError):
    """The learner lags too far behind to be promoted."""


class TooManyLearnersError(RequestError):
    """A cluster has one learner at a time."""


class BadLeaderTransfereeError(RequestError):
    """Leadership can only move to another voter of the cluster."""


class NotLeaderError(RequestError):
    """The request must go to the leader."""


class UnsupportedError(RequestError):
    """A part of the API that this version does not serve yet."""


class LeaderTransferTimeoutError(RequestError):
    """Leadership did not move in time. Not one to repeat blindly: it may move yet."""


class UnknownMethodError(RequestError):
    """The request names an operation or method that does not exist."""


class UnknownServiceError(RequestError):
    """A health check names a service that this member does not have."""


class AuthNotEnabledError(RequestError):
    """Credentials were given, but nobody has enabled authentication."""


class MalformedRequestError(RequestError):
    """The bytes of the request are no message of the method's type."""


class ResponseTooLargeError(RequestError):
    """The answer does not fit into one message (protobuf: 2 GiB): ask for less at a time."""


class WatchCanceledError(RequestError):
    """The member ended a watch stream."""


class UnavailableError(KvError):
    """The cluster cannot answer now.

    The client library says in `may_have_been_applied` what is known of a write: False only when
    it surely was not and never will be applied (reads: always False).
    """

    may_have_been_applied = True


class NoLeaderError(UnavailableError):
    """There is no leader, and the caller asked for one (`hasleader`)."""


class LeaderChangedError(UnavailableError):
    """The leader changed while the request was under way."""


class RequestTimeoutError(UnavailableError):
    """The request ran out of time; a write may still be applied later."""


class LeaderFailureTimeoutError(RequestTimeoutError):
    """… possibly because the leader failed meanwhile."""


class ConnectionLostTimeoutError(RequestTimeoutError):
    """… possibly because connections between the members were lost."""


class TooManyRequestsError(UnavailableError):
    """Too many requests wait; try again later."""


class UnhealthyClusterError(UnavailableError):
    """Too few members are connected for a change of the membership to be safe."""

    may_have_been_applied = False


class MembershipBusyError(UnavailableError):
    """Another change of the membership is under way; try again."""

    may_have_been_applied = False


class LearnerError(UnavailableError):
    """The member is a learner: it serves serializable reads only. Ask a voter."""

    may_have_been_applied = False


class StoppedError(UnavailableError):
    """The member is shutting down."""


class OperatorError(KvError):
    """The member cannot run as it was told to; the message says what to do."""


class ConfigError(OperatorError):
    """A flag, variable or combination of them is wrong."""


class DataFolderError(OperatorError):
    """The data folder belongs to another member or cluster, or is in use."""


class MemberRemovedError(OperatorError):
    """This member was removed from its cluster."""


class WalCorruptError(OperatorError):
    """A WAL or snapshot file is damaged other than by a torn tail."""


class DiskError(OperatorError):
    """The disk refused a write or a sync; the process must end."""
