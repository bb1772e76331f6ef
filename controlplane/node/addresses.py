"""The addresses of a node's pods: each has one of its own as long as it lives. PURE.

An address that was given back is not given again before all others were: whoever still knows it of
the pod that had it finds nobody there, and not somebody else.
"""

import ipaddress
from collections.abc import Collection

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NoAddressError(Exception):
    """All are taken, or the node has none to give; the message says which."""


class Addresses:
    """Remembers who was promised which address until the runtime tells that it has it."""

    def __init__(self) -> None:
        self._promised: dict[str, str] = {}
        self._last = 0

    def take(self, owner: str, block: str, used: Collection[str]) -> str:
        """An address for `owner` (a uid), the same one if it was promised one.

        block  the node's pod CIDR
        used   what the runtime tells of sandboxes that are ready

        Raises NoAddressError.
        """
        network = _network(block)
        promised = self._promised.get(owner)
        if promised is not None and ipaddress.ip_address(promised) in network:
            return promised
        taken = {*used, *self._promised.values()}
        # Neither the network's own address, nor the one that a bridge would have, nor broadcast.
        first, count = 2, network.num_addresses - 3
        for step in range(1, max(count, 0) + 1):
            place = (self._last + step) % count
            address = str(network[first + place])
            if address not in taken:
                self._last = place
                self._promised[owner] = address
                return address
        raise NoAddressError(f"no address of {block} is free")

    def release(self, owner: str) -> None:
        """Its promise is over: the runtime tells of the address, or nobody needs it."""
        self._promised.pop(owner, None)


def _network(block: str) -> _Network:
    if not block:
        raise NoAddressError("the node has no pod CIDR yet")
    try:
        return ipaddress.ip_network(block)
    except ValueError as error:
        raise NoAddressError(f"the node's pod CIDR cannot be used: {error}") from error
