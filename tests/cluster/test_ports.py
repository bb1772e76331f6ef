import socket

from cluster import data_folder
from cluster.ports import LOOPBACK, Ports
from cluster.topology import MemberSpec


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def test_two_launchers_never_choose_the_same_ports() -> None:
    """Although nobody listens on them yet."""
    with Ports() as one, Ports() as other:
        first = [data_folder.free_ports(one) for _ in range(3)]
        second = [data_folder.free_ports(other) for _ in range(3)]
        assert len({port for pair in first + second for port in pair}) == 12


def test_ports_of_a_removed_member_are_for_nobody_else() -> None:
    """Founders are told of it for ever, by its address."""
    with Ports() as ports:
        pair = data_folder.free_ports(ports)
    gone = MemberSpec("m1", *pair, "/data/m1", is_removed=True)
    with Ports() as ports:
        assert data_folder.free_ports(ports, [gone]) != pair


def test_what_a_launcher_has_taken_is_given_back_at_its_end() -> None:
    port = free_port()
    with Ports() as one, Ports() as other:
        assert one.take(port)
        assert not other.take(port)
    with Ports() as again:
        assert again.take(port)


def test_a_port_on_which_somebody_listens_is_taken_by_nobody() -> None:
    with socket.socket() as listening, Ports() as ports:
        listening.bind((LOOPBACK, 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert not ports.take(port)
        listening.close()
        assert ports.take(port)


def test_all_or_none_are_taken() -> None:
    port = free_port()
    with socket.socket() as listening, Ports() as ports, Ports() as other:
        listening.bind((LOOPBACK, 0))
        listening.listen()
        assert not ports.take(port, listening.getsockname()[1])
        assert other.take(port)


def test_two_launchers_never_choose_the_same_addresses() -> None:
    with Ports() as one, Ports() as other:
        assert one.take_block(124)
        assert not other.take_block(124)
        assert other.take_block(120)
    with Ports() as again:
        assert again.take_block(124)
