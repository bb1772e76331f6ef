"""Did every lease last as long as promised, and no longer than it may? PURE.

Too soon: somebody was told of the deletion before the promise was over. Too late: somebody was
told that it was still to come, when it had to be done.
"""

import statistics
from collections.abc import Sequence
from math import inf

import msgspec

from kvstore.testing.history import ViolationError, Write
from kvstore.testing.torture.answers import Answers

# A new leader gives each lease its full TTL once more, and the time in which the leader before may
# have gone on renewing it without knowing: the members' --election-timeout, 1 s by default.
ELECTION_SECONDS = 1.0
# From when a lease is due to when its keys are gone: a revocation that was lost is proposed again
# after 3 s (kvstore.lease, and etcd's lessor); 2 s for ticks and commits of a crowded machine.
ALLOWANCE_SECONDS = 5.0
# Most leases get an answer to all that is asked of them. Where so many have no latest end, it is
# the clients that do not look, and "no lease was too late" would say nothing.
UNBOUNDED_MAX = 20


class LeasedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was put, or may have been, under a lease of its own.

    promised_until up to when the cluster has promised that it lives: each grant and each renewal
                   lasts from when it was asked for
    renewed_by     by when the last renewal, or the grant, was done; inf: a renewal got no answer,
                   and may be done whenever the member that it was sent to comes back
    """

    key: bytes
    ttl_seconds: int
    promised_until: float
    renewed_by: float


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How many leases had a known latest end, and how long after the promised one it was."""

    count: int
    median_slack_seconds: float


def check(leased: Sequence[LeasedKey], writes: Sequence[Write], answers: Answers) -> Bounds:
    """Give what was known of latest ends; raise ViolationError for one that broke its promise, or
    where nothing was known of many.

    A key of which the order tells no put was never there: then nothing was promised.
    """
    put = {write.key for write in writes if write.value is not None}
    deleted_at = {write.key: write.revision for write in writes if write.value is None}
    slack_seconds: list[float] = []
    checked_count = 0
    for lease in leased:
        if lease.key not in put:
            continue
        revision = deleted_at.get(lease.key)
        if revision is None:
            raise ViolationError(f"{lease.key!r} has outlived its lease")
        early_seconds = lease.promised_until - answers.happened_by(revision)
        if early_seconds > 0:
            raise ViolationError(f"the lease of {lease.key!r} ended {early_seconds:.3f} s too soon")
        latest_end = ends_by(lease, answers)
        late_seconds = answers.not_yet_at(revision) - latest_end
        if late_seconds > 0:
            raise ViolationError(f"the lease of {lease.key!r} ended {late_seconds:.3f} s too late")
        checked_count += 1
        if latest_end < inf:
            slack_seconds.append(latest_end - lease.promised_until)
    if checked_count >= UNBOUNDED_MAX and not slack_seconds:
        raise ViolationError(
            f"the torture cannot tell of any of {checked_count} leases when it had to be over: its "
            "own clients are to blame, not the members"
        )
    return Bounds(
        count=len(slack_seconds), median_slack_seconds=statistics.median(slack_seconds or [0.0])
    )


def ends_by(lease: LeasedKey, answers: Answers) -> float:
    """The latest moment at which its key may still be there; inf: it cannot be told.

    While no write is acknowledged nobody can revoke a lease either. Each leader that came while it
    may have lived has begun it afresh.
    """
    end = _revoked_by(lease.renewed_by + lease.ttl_seconds, answers)
    for start in answers.terms:
        if start.not_before <= end:
            due = start.served_at + ELECTION_SECONDS + lease.ttl_seconds
            end = max(end, _revoked_by(due, answers))
    return end


def _revoked_by(due: float, answers: Answers) -> float:
    return answers.served_since(due) + ALLOWANCE_SECONDS
