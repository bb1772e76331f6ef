"""Leases: which exist, what keys hang on them and, on the leader, when each one ends.

Pure. Two kinds of state live here and must not be mixed:

- what the log decides, equal on every member: ids, TTLs, checkpointed remaining TTLs, keys;
- what only the leader knows: the deadlines. They exist between `promote` and `demote`. Keep-alives
  move them without a log entry, so a new leader knows none of them and starts every lease afresh.

The one promise: a lease is never handed out as expired before the latest deadline that any client
was told of. No clock may enter: every method that needs the time gets `now`, monotonic seconds of
the process. Applying a command has no time at all, so a lease that is granted while this member
leads gets its deadline at the next call that brings one (later than at once, hence never early).
"""

import heapq
import math
from collections.abc import Iterable, Iterator

import msgspec

from kvstore.errors import (
    LeaseExistsError,
    LeaseNotFoundError,
    LeaseTtlTooLargeError,
    NotLeaderError,
)

TTL_SECONDS_MAX = 9_000_000_000
"""etcd's bound: what still fits its 64-bit nanoseconds."""

REVOKE_RETRY_SECONDS = 3.0
"""An expired lease is handed out again after this long: its revocation may have been lost."""

CHECKPOINT_INTERVAL_SECONDS = 300.0
"""Leases that last longer than this have their remaining TTL replicated this often."""

CHECKPOINTS_MAX = 1000
"""Leases per checkpoint command, so that its log entry stays small."""

_STALE_MAX = 64
"""Outdated heap entries that are not worth a rebuild, whatever the number of live ones."""


class LeaseRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A lease as it stands in a snapshot. Its keys come back with the key-values.

    `remaining_seconds` is the last checkpoint, 0 when there is none.
    """

    lease_id: int
    ttl_seconds: int
    remaining_seconds: int = 0


class LeaseTimeToLive(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the leader knows of a lease; `ttl_seconds` is -1 when there is no such lease."""

    lease_id: int
    ttl_seconds: int
    granted_ttl_seconds: int = 0
    keys: tuple[bytes, ...] = ()


class _Lease:
    """A lease as the log made it."""

    __slots__ = ("is_checkpointed", "keys", "lease_id", "remaining_seconds", "ttl_seconds")

    def __init__(self, lease_id: int, ttl_seconds: int, remaining_seconds: int) -> None:
        self.lease_id = lease_id
        self.ttl_seconds = ttl_seconds
        self.remaining_seconds = remaining_seconds
        self.keys: set[bytes] = set()
        # A checkpoint is applied, or on its way through the log: see `Lessor.is_checkpointed`.
        self.is_checkpointed = remaining_seconds > 0


class _Timetable:
    """Ids by time. Moving one to a later time costs a dict store: the heap learns it lazily."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []
        self._queued: dict[int, float] = {}  # id -> the one valid heap entry of it

    def set(self, lease_id: int, time: float) -> None:
        self._times[lease_id] = time
        queued = self._queued.get(lease_id)
        if queued is None or time < queued:
            self._push(lease_id, time)

    def discard(self, lease_id: int) -> None:
        self._times.pop(lease_id, None)
        self._queued.pop(lease_id, None)
        if len(self._heap) > 2 * len(self._times) + _STALE_MAX:
            self._heap = [(time, lease_id) for lease_id, time in self._queued.items()]
            heapq.heapify(self._heap)

    def pop_due(self, now: float, limit: int) -> list[int]:
        """Take out at most `limit` ids whose time has come, earliest first."""
        due: list[int] = []
        while self._heap and self._heap[0][0] <= now and len(due) < limit:
            queued, lease_id = heapq.heappop(self._heap)
            if self._queued.get(lease_id) != queued:
                continue  # taken out, or moved to an earlier time, meanwhile
            del self._queued[lease_id]
            time = self._times[lease_id]
            if time > now:
                self._push(lease_id, time)
            else:
                del self._times[lease_id]
                due.append(lease_id)
        return due

    def _push(self, lease_id: int, time: float) -> None:
        self._queued[lease_id] = time
        heapq.heappush(self._heap, (time, lease_id))


class Lessor:
    """The table of leases. Also the store's `LeaseTable` (`has`, `attach`, `detach`)."""

    def __init__(self) -> None:
        self._leases: dict[int, _Lease] = {}
        self._lease_of: dict[bytes, int] = {}
        self._is_primary = False
        self._undated: list[int] = []  # granted since the last call that brought the time
        self._deadlines: dict[int, float] = {}
        self._expiries = _Timetable()
        self._checkpoints = _Timetable()

    def __len__(self) -> int:
        return len(self._leases)

    # What the log decides.

    def grant(self, lease_id: int, ttl_seconds: int) -> None:
        """Create a lease. The proposer has chosen the id and raised the TTL to the least one."""
        assert lease_id != 0, "the proposer chooses an id"
        if ttl_seconds > TTL_SECONDS_MAX:
            raise LeaseTtlTooLargeError(f"TTL {ttl_seconds} s exceeds {TTL_SECONDS_MAX} s")
        if lease_id in self._leases:
            raise LeaseExistsError(f"lease {lease_id:x} exists")
        self._leases[lease_id] = _Lease(lease_id, ttl_seconds, 0)
        if self._is_primary:
            self._undated.append(lease_id)

    def revoke(self, lease_id: int) -> list[bytes]:
        """Remove a lease; its keys, in order, are the caller's to delete."""
        keys = self.keys(lease_id)
        for key in keys:
            del self._lease_of[key]
        del self._leases[lease_id]
        self._deadlines.pop(lease_id, None)
        self._expiries.discard(lease_id)
        self._checkpoints.discard(lease_id)
        return keys

    def checkpoint(self, lease_id: int, remaining_seconds: int) -> None:
        """Note what is left of a lease (0 = all of it) for whoever leads next.

        The lease may have been revoked since the checkpoint was proposed.
        """
        lease = self._leases.get(lease_id)
        if lease is None:
            return
        lease.remaining_seconds = min(remaining_seconds, lease.ttl_seconds)
        lease.is_checkpointed = remaining_seconds > 0

    def has(self, lease_id: int) -> bool:
        """Tell whether there is such a lease."""
        return lease_id in self._leases

    def attach(self, lease_id: int, key: bytes) -> None:
        """Hang a key on a lease, taking it off the one that it hung on."""
        lease = self._leases[lease_id]
        before = self._lease_of.get(key)
        if before is not None:
            self._leases[before].keys.discard(key)
        lease.keys.add(key)
        self._lease_of[key] = lease_id

    def detach(self, lease_id: int, key: bytes) -> None:
        """Take a key off a lease; harmless when it does not hang there (any more)."""
        if self._lease_of.get(key) == lease_id:
            del self._lease_of[key]
            self._leases[lease_id].keys.discard(key)

    def keys(self, lease_id: int) -> list[bytes]:
        """Keys of a lease, in order."""
        lease = self._leases.get(lease_id)
        if lease is None:
            raise LeaseNotFoundError(f"no lease {lease_id:x}")
        return sorted(lease.keys)

    def lease_of(self, key: bytes) -> int:
        """Lease that a key hangs on, 0 when on none."""
        return self._lease_of.get(key, 0)

    def leases(self) -> list[int]:
        """All ids; on the leader the first to end comes first (as etcd lists them)."""
        return sorted(self._leases, key=lambda id_: (self._deadlines.get(id_, math.inf), id_))

    def records(self) -> Iterator[LeaseRecord]:
        """What a snapshot keeps, as it is at the call, by id."""
        return iter(
            [
                LeaseRecord(lease_id, lease.ttl_seconds, lease.remaining_seconds)
                for lease_id, lease in sorted(self._leases.items())
            ]
        )

    @classmethod
    def restore(cls, records: Iterable[LeaseRecord]) -> "Lessor":
        """The lessor of a snapshot, as a follower; its keys are attached by the store."""
        lessor = cls()
        for record in records:
            lessor._leases[record.lease_id] = _Lease(
                record.lease_id, record.ttl_seconds, record.remaining_seconds
            )
        return lessor

    # What only the leader knows.

    @property
    def is_primary(self) -> bool:
        """Tell whether deadlines run here."""
        return self._is_primary

    def promote(self, now: float, *, extend_seconds: float = 0.0) -> None:
        """Lead: every lease gets its full TTL, or what the last checkpoint left of it, from now.

        Call it once every entry of earlier terms is applied: a checkpoint among them that came
        after a renewal here would outlive that renewal. `extend_seconds` is for how long the
        leader before may have gone on renewing without knowing that it was deposed (the election
        timeout, as etcd adds).
        """
        self.demote()
        self._is_primary = True
        for lease_id, lease in self._leases.items():
            seconds = lease.remaining_seconds or lease.ttl_seconds
            self._set_deadline(lease_id, now + extend_seconds + seconds)
            self._schedule_checkpoint(lease, now)

    def demote(self) -> None:
        """Follow: nothing expires here."""
        self._is_primary = False
        self._undated = []
        self._deadlines = {}
        self._expiries = _Timetable()
        self._checkpoints = _Timetable()
        for lease in self._leases.values():
            lease.is_checkpointed = lease.remaining_seconds > 0

    def is_checkpointed(self, lease_id: int) -> bool:
        """Tell whether a renewal may be answered only after a checkpoint of 0 is applied.

        Otherwise the next leader would give the lease only what its checkpoint says. One that was
        handed out but is not applied yet counts as well: it will be, after the renewal. Ask after
        `renew`, which puts off the next one by an interval; the 0 is applied or lost with the
        leadership long before that is over.
        """
        lease = self._leases.get(lease_id)
        return lease is not None and lease.is_checkpointed

    def renew(self, lease_id: int, now: float) -> int:
        """Start the lease afresh; its TTL, or 0 when there is none such or it has expired.

        An expired lease stays expired: its revocation may already be in the log.
        """
        self.date(now)
        lease = self._leases.get(lease_id)
        if lease is None or self._deadlines[lease_id] <= now:
            return 0
        self._set_deadline(lease_id, now + lease.ttl_seconds)
        self._schedule_checkpoint(lease, now)
        return lease.ttl_seconds

    def time_to_live(self, lease_id: int, now: float, *, keys: bool = True) -> LeaseTimeToLive:
        """What is left of a lease, in whole seconds, and its keys unless not wanted."""
        self.date(now)
        lease = self._leases.get(lease_id)
        if lease is None:
            return LeaseTimeToLive(lease_id, -1)
        left = max(0, math.floor(min(self._deadlines[lease_id] - now, lease.ttl_seconds)))
        attached = tuple(sorted(lease.keys)) if keys else ()
        return LeaseTimeToLive(lease_id, left, lease.ttl_seconds, attached)

    def expired(self, now: float, limit: int) -> list[int]:
        """At most `limit` leases to revoke, longest expired first; none on a follower.

        Each is handed out again every REVOKE_RETRY_SECONDS until it is revoked.
        """
        if not self._is_primary:
            return []
        self.date(now)
        due = self._expiries.pop_due(now, limit)
        for lease_id in due:
            self._expiries.set(lease_id, now + REVOKE_RETRY_SECONDS)
        return due

    def checkpoints_due(self, now: float) -> tuple[tuple[int, int], ...]:
        """Remaining TTLs to replicate now, for a LeaseCheckpoint; none on a follower.

        Propose them on this member only: one that reaches a later leader's log would be newer
        than that leader's renewals.
        """
        if not self._is_primary:
            return ()
        self.date(now)
        due = []
        for lease_id in self._checkpoints.pop_due(now, CHECKPOINTS_MAX):
            lease = self._leases[lease_id]
            remaining = math.ceil(self._deadlines[lease_id] - now)
            if remaining <= 0:
                continue
            lease.is_checkpointed = True
            due.append((lease_id, min(remaining, lease.ttl_seconds)))
            self._schedule_checkpoint(lease, now)
        return tuple(due)

    def date(self, now: float) -> None:
        """Give the leases that were granted since the last call their deadlines.

        Everything else here does so as well; whoever applies grants does it soonest. Raises
        NotLeaderError.
        """
        if not self._is_primary:
            raise NotLeaderError("only the leader knows how long leases last")
        for lease_id in self._undated:
            lease = self._leases.get(lease_id)
            if lease is not None and lease_id not in self._deadlines:
                self._set_deadline(lease_id, now + lease.ttl_seconds)
                self._schedule_checkpoint(lease, now)
        self._undated = []

    def _set_deadline(self, lease_id: int, deadline: float) -> None:
        self._deadlines[lease_id] = deadline
        self._expiries.set(lease_id, deadline)

    def _schedule_checkpoint(self, lease: _Lease, now: float) -> None:
        if self._deadlines[lease.lease_id] - now > CHECKPOINT_INTERVAL_SECONDS:
            self._checkpoints.set(lease.lease_id, now + CHECKPOINT_INTERVAL_SECONDS)
