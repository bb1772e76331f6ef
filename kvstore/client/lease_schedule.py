"""When to renew which lease, and when one must be taken for lost. Pure.

Times are seconds of the caller's clock. A renewal counts from when its request was *sent*: the
server's count begins later, so we never believe in a lease longer than the server does.
"""

from collections.abc import Iterable
from dataclasses import dataclass

RENEWALS_PER_TTL = 3  # two may be lost before the lease is


@dataclass
class _Held:
    ttl_seconds: int
    expires_at: float
    next_at: float
    sent_at: float | None = None  # of the oldest request without an answer on this stream

    def renew(self, ttl_seconds: int, sent_at: float) -> None:
        self.ttl_seconds = ttl_seconds
        self.expires_at = sent_at + ttl_seconds
        self.next_at = sent_at + ttl_seconds / RENEWALS_PER_TTL
        self.sent_at = None


class LeaseSchedule:
    """The leases that a client keeps alive."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}

    @property
    def is_empty(self) -> bool:
        """True when no lease is held."""
        return not self._held

    def hold(self, lease_id: int, ttl_seconds: int, sent_at: float) -> None:
        """Begin with a lease whose grant (or last renewal) was sent at that time."""
        held = _Held(ttl_seconds, 0.0, 0.0)
        held.renew(ttl_seconds, sent_at)
        self._held[lease_id] = held

    def drop(self, lease_ids: Iterable[int]) -> None:
        """Forget leases."""
        for lease_id in lease_ids:
            self._held.pop(lease_id, None)

    def take_due(self, now: float) -> list[int]:
        """Leases to renew now; one request at a time for each."""
        due = [i for i, held in self._held.items() if held.sent_at is None and held.next_at <= now]
        for lease_id in due:
            self._held[lease_id].sent_at = now
        return due

    def renewed(self, lease_id: int, ttl_seconds: int, now: float) -> bool:
        """An answer came; False: the server does not know the lease (any more)."""
        held = self._held.get(lease_id)
        if held is None:
            return True  # dropped meanwhile
        if ttl_seconds <= 0:
            return False
        held.renew(ttl_seconds, now if held.sent_at is None else held.sent_at)
        return True

    def expired(self, now: float) -> list[int]:
        """Leases that the server may have let expire."""
        return [i for i, held in self._held.items() if held.expires_at <= now]

    def is_stalled(self, now: float) -> bool:
        """True when a request has waited so long that another endpoint should be asked."""
        return any(
            held.sent_at is not None and held.sent_at + held.ttl_seconds / RENEWALS_PER_TTL <= now
            for held in self._held.values()
        )

    def disconnected(self) -> None:
        """The stream is gone: requests without an answer are due again."""
        for held in self._held.values():
            held.sent_at = None

    def seconds_until_next(self, now: float) -> float | None:
        """How long nothing has to be done; None: until a lease is held."""
        if not self._held:
            return None
        return max(0.0, min(map(self._next_moment, self._held.values())) - now)

    def _next_moment(self, held: _Held) -> float:
        pending = held.next_at
        if held.sent_at is not None:
            pending = held.sent_at + held.ttl_seconds / RENEWALS_PER_TTL
        return min(pending, held.expires_at)
