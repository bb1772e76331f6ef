import msgspec

from cluster import topology
from cluster.topology import ClusterFile, TlsFiles


def a_cluster(*, is_tls: bool = False) -> ClusterFile:
    members = topology.members(3, topology.port_pairs(3), "/data")
    return ClusterFile("token", members, is_tls)


def test_the_first_three_members_get_etcds_ports() -> None:
    assert [m.client_port for m in a_cluster().members] == [2379, 12379, 22379]


def test_no_port_is_used_twice_or_lies_where_the_kernel_chooses() -> None:
    ports = [port for pair in topology.port_pairs(9)[:9] for port in pair]
    assert len(set(ports)) == len(ports)
    assert max(ports) < 32768


def test_every_member_knows_all_peers() -> None:
    cluster = a_cluster()
    for member in cluster.members:
        arguments = topology.store_arguments(cluster, member, None)
        (initial,) = [a for a in arguments if a.startswith("--initial-cluster=")]
        assert all(f"{m.name}=http://127.0.0.1:{m.peer_port}" in initial for m in cluster.members)


def test_the_store_of_a_control_plane_forgets_what_is_older_than_five_minutes() -> None:
    """A store alone keeps what a person has written, as etcd does."""
    flags = {"--auto-compaction-mode=periodic", "--auto-compaction-retention=5m"}
    alone = a_cluster()
    assert not flags & set(topology.store_arguments(alone, alone.members[0], None))
    with_api = msgspec.structs.replace(alone, api_port=6443)
    for member in with_api.members:
        assert flags <= set(topology.store_arguments(with_api, member, None))


def test_certificates_make_every_url_https() -> None:
    tls = TlsFiles("ca", "crt", "key")
    cluster = a_cluster(is_tls=True)
    arguments = topology.store_arguments(cluster, cluster.members[0], tls)
    assert not any("http://" in argument for argument in arguments)
    assert "--peer-client-cert-auth" in arguments
    lines = topology.paste_lines(cluster, tls, "a path/kvctl")
    assert all("--cacert=ca" in line for line in lines)
    assert lines[1].startswith("'a path/kvctl' --endpoints=https://127.0.0.1:2379,")


def test_kubernetes_own_port_is_the_first_choice_and_node_ports_are_left_free() -> None:
    ports = topology.api_ports()
    assert ports[:3] == [6443, 16443, 26443]
    assert len(set(ports)) == len(ports)
    assert max(ports) < 30000


def test_founders_are_started_as_founders_and_others_as_joiners() -> None:
    cluster = a_cluster()
    joiner = topology.added(topology.next_member(cluster, (4001, 4002), "/data"))
    assert joiner.name == "m4"
    cluster = cluster.with_member(joiner).without_member(cluster.members[0])
    assert [member.name for member in cluster.members] == ["m2", "m3", "m4"]
    assert topology.next_member(cluster, (4003, 4004), "/data").name == "m5"

    def named(name: str) -> tuple[str, str]:
        [member] = [m for m in cluster.members if m.name == name]
        arguments = topology.store_arguments(cluster, member, None)
        [initial] = [a for a in arguments if a.startswith("--initial-cluster=")]
        [state] = [a for a in arguments if a.startswith("--initial-cluster-state=")]
        pairs = initial.removeprefix("--initial-cluster=").split(",")
        return " ".join(pair.partition("=")[0] for pair in pairs), state.partition("=")[2]

    assert named("m2") == ("m1 m2 m3", "new")
    assert named("m4") == ("m2 m3 m4", "existing")


def test_who_is_to_be_added_is_remembered_and_no_member_yet() -> None:
    """The store may have it although nobody heard the answer."""
    cluster = a_cluster()
    joiner = topology.next_member(cluster, (4001, 4002), "/data")
    waiting = cluster.with_member(joiner)
    assert waiting.intended == joiner
    assert waiting.members == cluster.members
    assert waiting.without_intended() == cluster
    joined = waiting.with_member(topology.added(joiner))
    assert joined.intended is None
    assert [member.name for member in joined.members] == ["m1", "m2", "m3", "m4"]
    given_up = waiting.without_member(joiner)
    assert given_up.intended is None
    assert given_up.members == cluster.members
    assert topology.next_member(given_up, (4003, 4004), "/data").name == "m5"


def test_members_lie_where_the_data_folder_lies_now() -> None:
    cluster = topology.moved(a_cluster(), "/elsewhere")
    assert [member.folder for member in cluster.members] == [
        *("/elsewhere/m1", "/elsewhere/m2", "/elsewhere/m3")
    ]
    assert topology.moved(cluster, "/data") == a_cluster()
