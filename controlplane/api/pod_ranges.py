"""The ranges of the cluster of which each node gets one, for the addresses of its pods. PURE.

Source: Kubernetes' documentation, "Cluster Networking", kube-controller-manager's flags
--cluster-cidr and --node-cidr-mask-size; kube-behaviour 6.5.
"""

import ipaddress
from collections.abc import Callable, Iterator
from itertools import chain

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BITS_MAX = 16  # 65,536 ranges; kube-controller-manager refuses more, too


class PodRanges:
    """All parts of `cluster` with a prefix of `mask_size` bits.

    Raises ValueError for what is no network, and for masks that do not fit it.
    """

    def __init__(self, cluster: str, mask_size: int) -> None:
        self.network: Network = ipaddress.ip_network(cluster)
        bits = mask_size - self.network.prefixlen
        if bits < 0 or mask_size > self.network.max_prefixlen:
            raise ValueError(f"a part of {cluster} has no prefix of {mask_size} bits")
        if bits > BITS_MAX:
            raise ValueError(f"{cluster} has more than {1 << BITS_MAX} parts of /{mask_size}")
        self._count = 1 << bits
        self._mask_size = mask_size

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> str:
        """One of them, such as `10.244.3.0/24`."""
        size = 1 << (self.network.max_prefixlen - self._mask_size)
        first = self.network.network_address + number * size
        return f"{first}/{self._mask_size}"

    def within(self, text: str) -> Iterator[str]:
        """All that a range of any size has something of; none of what is no range of ours."""
        try:
            wanted = ipaddress.ip_network(text, strict=False)
        except ValueError:
            return
        if wanted.version != self.network.version or not wanted.overlaps(self.network):
            return
        base = int(self.network.network_address)
        shift = self.network.max_prefixlen - self._mask_size
        lowest = max(int(wanted.network_address), base) - base
        highest = min(int(wanted.broadcast_address), int(self.network.broadcast_address)) - base
        for number in range(lowest >> shift, (highest >> shift) + 1):
            yield self[number]

    def free(self, start: int, is_taken: Callable[[str], bool]) -> Iterator[int]:
        """The numbers of those that nobody has, from `start` on and around."""
        for number in chain(range(start, self._count), range(start)):
            if not is_taken(self[number]):
                yield number
