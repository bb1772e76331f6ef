"""What a failed call means: surely refused, unknown, or final. Pure.

The one place that decides which requests may be sent again. Nothing is guessed in the caller's
favour: a write whose fate is not certain is never repeated.
"""

from enum import Enum

from kvstore.errors import KvError, RequestError, RequestTimeoutError, UnavailableError
from kvstore.rpc_errors import error_of
from kvstore.seams import RpcFailure


class Outcome(Enum):
    """What is known of a request after its call failed."""

    REFUSED = "surely neither applied nor ever will be; another member may take it"
    UNKNOWN = "a write may have been applied, or be applied later"
    FINAL = "the cluster has answered: no"


# A member says these before it proposes anything. `no leader` comes from the check of the
# `hasleader` metadata, which every write of ours carries; `not capable` and the learner's refusal
# come from the same gate; `too many requests` and a dropped proposal from the door of the log;
# the last two before a change of the membership is proposed.
# Not here, because a member may say them of a proposal that is already in the log and commits
# later: every time-out, `leader changed`, `server stopped`, and every broken connection.
_REFUSALS = frozenset(
    {
        "etcdserver: no leader",
        "etcdserver: not capable",
        "etcdserver: rpc not supported for learner",
        "etcdserver: too many requests",
        "etcdserver: unhealthy cluster",
        "etcdserver: another change of the membership is under way",
        "raft proposal dropped",
    }
)

# Codes with which connections, proxies and stopping servers end calls of which nothing is known.
_UNCERTAIN_CODES = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN", "ABORTED"}
)


def outcome_of(failure: RpcFailure) -> Outcome:
    """Classify a failed call."""
    if not failure.sent or failure.details in _REFUSALS:
        return Outcome.REFUSED
    if failure.code not in _UNCERTAIN_CODES or _is_known_refusal(failure):
        return Outcome.FINAL
    return Outcome.UNKNOWN


def _is_known_refusal(failure: RpcFailure) -> bool:
    """A fault of the caller that the table of errors knows, under whatever code it came."""
    error = _typed(failure)
    is_known = isinstance(error, RequestError) and type(error) is not RequestError
    return is_known and failure.code != "CANCELLED"


def error_from(failure: RpcFailure, *, is_read: bool) -> KvError:
    """The typed error for a call that is given up, with what is known of its fate."""
    outcome = outcome_of(failure)
    error = _typed(failure)
    if outcome is not Outcome.FINAL and not isinstance(error, UnavailableError):
        error = UnavailableError(str(failure))
    if isinstance(error, UnavailableError):
        error.may_have_been_applied = outcome is Outcome.UNKNOWN and not is_read
    return error


def _typed(failure: RpcFailure) -> KvError:
    if failure.code == "DEADLINE_EXCEEDED":  # our own deadline: no member said it
        return RequestTimeoutError(failure.details)
    return error_of(failure.code, failure.details)
