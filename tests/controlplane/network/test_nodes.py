"""Which nodes are of this machine, and where their node ports are."""

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Node
from controlplane.network.nodes import Nodes, ranges_of


def _node(*addresses: str, kind: str = "InternalIP") -> Node:
    told = [{"type": kind, "address": address} for address in addresses]
    told.append({"type": "Hostname", "address": "somewhere"})
    return from_object(Node, {"metadata": {"name": "n"}, "status": {"addresses": told}})


def test_node_ports_are_on_the_internal_addresses_of_the_nodes_that_are_named() -> None:
    found = Nodes(frozenset({"a", "b"}), ())
    assert found.put("a", _node("192.0.2.1", "fd00::1"))
    assert found.put("b", _node("192.0.2.1"))
    assert not found.put("c", _node("192.0.2.3"))
    machine = found.machine()
    assert machine.nodes == frozenset({"a", "b"})
    assert machine.node_port_addresses == {
        "192.0.2.1": frozenset({"a", "b"}),
        "fd00::1": frozenset({"a"}),
    }


def test_without_names_all_nodes_are_of_this_machine() -> None:
    found = Nodes(frozenset(), ())
    assert found.put("a", _node("192.0.2.1"))
    assert found.machine().nodes is None
    assert found.machine().node_port_addresses == {"192.0.2.1": frozenset({"a"})}


def test_only_a_change_of_addresses_is_one() -> None:
    """Nodes tell of themselves all the time."""
    found = Nodes(frozenset(), ())
    assert found.put("a", _node("192.0.2.1"))
    assert not found.put("a", _node("192.0.2.1"))
    assert found.put("a", None)
    assert not found.put("a", None)
    assert not found.put("a", _node("192.0.2.1", kind="ExternalIP"))


def test_node_that_tells_a_name_for_an_address_has_none() -> None:
    found = Nodes(frozenset(), ())
    assert not found.put("a", _node("not an address"))
    assert found.machine().node_port_addresses == {}


def test_ranges_choose_among_addresses() -> None:
    def chosen(ranges: str) -> dict[str, frozenset[str] | None]:
        found = Nodes(frozenset(), ranges_of(ranges))
        found.put("a", _node("192.0.2.1", "fd00::1"))
        return dict(found.machine().node_port_addresses)

    node = frozenset({"a"})
    assert chosen("192.0.2.0/24") == {"192.0.2.1": node}
    assert chosen("198.51.100.0/24") == {}
    assert chosen("127.0.0.1,192.0.2.1") == {"127.0.0.1": None, "192.0.2.1": node}
    assert chosen("0.0.0.0/0") == {"0.0.0.0": None}
    assert chosen("0.0.0.0/0,fd00::/8") == {"0.0.0.0": None, "fd00::1": node}
