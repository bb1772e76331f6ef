"""What the store wants of leases: the protocol between `Store` and whoever keeps them."""

from typing import Protocol


class LeaseTable(Protocol):
    """Which leases exist and which keys hang on them."""

    def has(self, lease_id: int) -> bool:
        """Tell whether there is such a lease."""

    def attach(self, lease_id: int, key: bytes) -> None:
        """Hang a key on a lease that exists."""

    def detach(self, lease_id: int, key: bytes) -> None:
        """Take a key off a lease; harmless when the lease is gone."""
