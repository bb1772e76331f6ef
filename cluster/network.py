"""The addresses of a cluster on one machine: loopback ones, which need no privileges. PURE.

All of 127.0.0.0/8 leads to this machine. A cluster takes a block of four /16 of it, so that several
may run beside each other: its nodes, its pods, its services, and one that is spare.
"""

import msgspec

BLOCKS = tuple(range(64, 128, 4))
"""Second octets of the blocks that there are."""
NODES_MAX = 9
KUBELET_PORT = 10_250  # Kubernetes' own, of each node at its own address


class Network(msgspec.Struct, frozen=True):
    """block  one of BLOCKS"""

    block: int = BLOCKS[0]

    @property
    def node_range(self) -> str:
        """Of nodes."""
        return f"127.{self.block}.0.0/16"

    @property
    def cluster_range(self) -> str:
        """Of which each node has a /24 for its pods."""
        return f"127.{self.block + 1}.0.0/16"

    @property
    def service_range(self) -> str:
        """Of ClusterIPs."""
        return f"127.{self.block + 2}.0.0/16"

    @property
    def api_service(self) -> str:
        """The first of them: the service `kubernetes`."""
        return f"127.{self.block + 2}.0.1"

    @property
    def dns(self) -> str:
        """Where names of services are asked for."""
        return f"127.{self.block + 2}.0.10"

    def node_address(self, number: int) -> str:
        """Of `nNUMBER`, from 1."""
        return f"127.{self.block}.0.{number}"


def node_names(count: int) -> list[str]:
    """`n1` … `nN`."""
    return [f"n{number}" for number in range(1, count + 1)]
