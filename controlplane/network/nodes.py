"""The nodes of this machine, and the addresses on which their node ports are. PURE."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from controlplane.api.types.core_v1 import Node
from controlplane.network.plan import Machine

INTERNAL_IP = "InternalIP"


class Nodes:
    """What is known of nodes."""

    def __init__(self, names: frozenset[str], ranges: Sequence[IPv4Network | IPv6Network]) -> None:
        """names   of this machine's nodes; empty: all are
        ranges  where node ports are wanted; empty: on the nodes' internal addresses
        """
        self._names = names
        self._ranges = ranges
        self._addresses: dict[str, tuple[str, ...]] = {}

    def put(self, name: str, node: Node | None) -> bool:
        """A node as it is now, or None: it is gone. Whether `machine` is another thereby."""
        if self._names and name not in self._names:
            return False
        before = self._addresses.pop(name, ())
        now = addresses_of(node) if node is not None else ()
        if now:
            self._addresses[name] = now
        return now != before

    def machine(self) -> Machine:
        """Whose traffic is served."""
        nodes = self._names or None
        return Machine(
            nodes=nodes, node_port_addresses=node_port_addresses(self._addresses, self._ranges)
        )


def addresses_of(node: Node) -> tuple[str, ...]:
    """The addresses that the cluster knows a node by; a name is none."""
    told = (one.address for one in node.status.addresses if one.type == INTERNAL_IP)
    return tuple(dict.fromkeys(address for address in told if _is_address(address)))


def node_port_addresses(
    addresses: Mapping[str, Sequence[str]], ranges: Sequence[IPv4Network | IPv6Network]
) -> dict[str, frozenset[str] | None]:
    """For `Machine`. A range of one address, or of all (0.0.0.0/0), is listened on as it is; of
    any other the nodes' addresses in it are.

    addresses  of each node
    """
    names: dict[str, set[str]] = {}
    for name, told in sorted(addresses.items()):
        for address in told:
            names.setdefault(address, set()).add(name)
    owners: dict[str, frozenset[str] | None] = {
        address: frozenset(its)
        for address, its in names.items()
        if not ranges or any(ip_address(address) in one for one in ranges)
    }
    for one in ranges:
        if one.prefixlen == 0:
            # Who listens on all addresses cannot listen on one of them besides.
            version = one.version
            owners = {own: of for own, of in owners.items() if ip_address(own).version != version}
            owners[str(one.network_address)] = None
        elif one.num_addresses == 1:
            owners.setdefault(str(one.network_address), None)
    return owners


def ranges_of(text: str) -> list[IPv4Network | IPv6Network]:
    """Of `CIDR[,CIDR…]`; an address is the range of itself. Raises ValueError."""
    return [ip_network(one.strip()) for one in text.split(",") if one.strip()]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
