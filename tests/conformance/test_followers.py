"""Any member serves any request: what is sent to a follower works as on the leader."""

from collections.abc import Callable

from kvstore.pb.rpc_pb2 import (
    NOSPACE,
    AlarmRequest,
    LeaseGrantRequest,
    LeaseLeasesRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
)
from tests.conformance.client import Client, KeepAliveStream, WatchStream, op_put, refused

OpenWatch = Callable[..., WatchStream]


def test_a_put_on_a_follower_is_read_everywhere(
    leader: Client, followers: list[Client], prefix: bytes
) -> None:
    followers[0].put(prefix, b"v")
    for client in (leader, *followers):
        assert client.range(prefix).kvs[0].value == b"v"


def test_a_linearizable_read_on_a_follower_sees_the_last_write(
    leader: Client, followers: list[Client], prefix: bytes
) -> None:
    for n in range(50):
        leader.put(prefix, b"%d" % n)
        assert followers[n % 2].range(prefix).kvs[0].value == b"%d" % n


def test_a_follower_reads_its_own_write_serializably(
    followers: list[Client], prefix: bytes
) -> None:
    for n in range(20):
        followers[0].put(prefix, b"%d" % n)
        assert followers[0].range(prefix, serializable=True).kvs[0].value == b"%d" % n


def test_writes_by_all_members_share_one_sequence_of_revisions(
    leader: Client, followers: list[Client], prefix: bytes
) -> None:
    clients = (leader, *followers)
    start = leader.put(prefix).header.revision
    revisions = [clients[n % 3].put(prefix).header.revision for n in range(30)]
    assert revisions == list(range(start + 1, start + 31))


def test_a_txn_on_a_follower_is_atomic(
    leader: Client, followers: list[Client], prefix: bytes
) -> None:
    response = followers[0].txn(success=[op_put(prefix + b"a"), op_put(prefix + b"b")])
    kvs = leader.range(prefix, prefix[:-1] + b"0").kvs
    assert {kv.mod_revision for kv in kvs} == {response.header.revision}


def test_a_refusal_on_a_follower_is_the_same(followers: list[Client], prefix: bytes) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key not found"):
        followers[0].put(prefix, ignore_value=True)
    with refused("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request"):
        followers[0].txn(success=[op_put(prefix), op_put(prefix)])


def test_a_watch_on_a_follower_sees_writes_on_the_leader(
    leader: Client, followers: list[Client], open_watch: OpenWatch, prefix: bytes
) -> None:
    stream = open_watch(followers[0])
    stream.created(prefix)
    written = [leader.put(prefix, b"%d" % n).header.revision for n in range(20)]
    assert [event.kv.mod_revision for event in stream.events(20)] == written


def test_watches_on_all_members_see_the_same_events(
    leader: Client, followers: list[Client], open_watch: OpenWatch, prefix: bytes
) -> None:
    streams = [open_watch(client) for client in (leader, *followers)]
    start = followers[1].put(prefix).header.revision
    for stream in streams:
        stream.created(prefix, start_revision=start)
    followers[0].delete(prefix)
    seen = [[(e.type, e.kv.mod_revision) for e in stream.events(2)] for stream in streams]
    assert seen[0] == seen[1] == seen[2]


def test_a_lease_granted_on_a_follower_is_known_everywhere(
    leader: Client, followers: list[Client], prefix: bytes, lease_id: int
) -> None:
    followers[0].lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    leader.put(prefix, lease=lease_id)
    followers[1].lease(LeaseRevokeRequest(ID=lease_id))
    assert leader.range(prefix).count == 0


def test_keep_alive_on_a_follower_reaches_the_leader(
    followers: list[Client], lease_id: int
) -> None:
    followers[0].lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    stream = KeepAliveStream(followers[1])
    assert stream.keep_alive(lease_id).TTL == 600
    assert stream.keep_alive(-lease_id).TTL == 0
    stream.close()


def test_time_to_live_on_a_follower_tells_what_the_leader_knows(
    leader: Client, followers: list[Client], prefix: bytes, lease_id: int
) -> None:
    leader.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    leader.put(prefix, lease=lease_id)
    response = followers[0].lease(LeaseTimeToLiveRequest(ID=lease_id, keys=True))
    assert (response.grantedTTL, list(response.keys)) == (600, [prefix])
    assert 590 <= response.TTL <= 600
    assert followers[0].lease(LeaseTimeToLiveRequest(ID=-lease_id)).TTL == -1


def test_leases_on_a_follower_list_all(
    leader: Client, followers: list[Client], lease_id: int
) -> None:
    followers[0].lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    leases = followers[0].lease(LeaseLeasesRequest()).leases
    assert lease_id in [lease.ID for lease in leases]


def test_compaction_on_a_follower_holds_on_the_leader(
    leader: Client, followers: list[Client], prefix: bytes
) -> None:
    old = leader.put(prefix).header.revision
    followers[0].compact(leader.put(prefix).header.revision, physical=True)
    with refused("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"):
        leader.range(prefix, revision=old)


def test_an_alarm_raised_on_a_follower_is_listed_on_the_leader(
    leader: Client, followers: list[Client], prefix: bytes
) -> None:
    raise_it = AlarmRequest(action=AlarmRequest.ACTIVATE, memberID=77, alarm=NOSPACE)
    disarm_it = AlarmRequest(action=AlarmRequest.DEACTIVATE, memberID=77, alarm=NOSPACE)
    followers[0].maintenance(raise_it)
    leader.revision()  # a linearizable read: the leader has applied the alarm
    listed = leader.maintenance(AlarmRequest()).alarms
    followers[0].maintenance(disarm_it)
    assert [one.memberID for one in listed] == [77]
    leader.put(prefix)
