"""A member that is killed and started again is the same member with the same store."""

from collections.abc import Iterator

import pytest

from kvstore.pb.rpc_pb2 import (
    CORRUPT,
    AlarmRequest,
    HashKVRequest,
    LeaseGrantRequest,
    LeaseTimeToLiveRequest,
    RangeResponse,
)
from tests.conformance.client import Client, WatchStream, refused
from tests.conformance.conftest import StartCluster

pytestmark = pytest.mark.slow
HISTORY = 50


class Restarted:
    """What was there before the kill, and a client of the member after it."""

    def __init__(self, before: RangeResponse, hash_before: int, client: Client) -> None:
        self.before = before
        self.hash_before = hash_before
        self.client = client


@pytest.fixture(scope="module")
def restarted(start_shared_cluster: StartCluster) -> Iterator[Restarted]:
    cluster = start_shared_cluster()
    client = Client(cluster.endpoints[0])
    client.lease(LeaseGrantRequest(ID=5, TTL=1000))
    client.put(b"leased", lease=5)
    for n in range(HISTORY):
        client.put(b"key-%d" % (n % 5), b"%d" % n)
    client.delete(b"key-3")
    client.compact(10, physical=True)
    request = AlarmRequest(action=AlarmRequest.ACTIVATE, memberID=77, alarm=CORRUPT)
    client.maintenance(request)
    before = client.range(b"\0", b"\0")
    hash_before = client.maintenance(HashKVRequest()).hash
    client.close()
    [member] = cluster.members
    member.kill()
    cluster.start_member(member)
    cluster.wait_ready()
    client = Client(cluster.endpoints[0])
    yield Restarted(before, hash_before, client)
    client.close()


def test_every_acknowledged_key_is_back(restarted: Restarted) -> None:
    after = restarted.client.range(b"\0", b"\0")
    assert after.kvs == restarted.before.kvs
    assert after.header.revision == restarted.before.header.revision


def test_the_member_keeps_its_ids_and_a_later_term(restarted: Restarted) -> None:
    before, after = restarted.before.header, restarted.client.range(b"\0").header
    assert (after.cluster_id, after.member_id) == (before.cluster_id, before.member_id)
    assert after.raft_term > before.raft_term


def test_the_hash_is_the_same(restarted: Restarted) -> None:
    assert restarted.client.maintenance(HashKVRequest()).hash == restarted.hash_before


def test_history_is_back(restarted: Restarted) -> None:
    stream = WatchStream(restarted.client)
    stream.created(b"key-0", start_revision=11)
    versions = [event.kv.version for event in stream.events(8)]
    assert versions == list(range(3, 11))
    stream.close()


def test_the_compaction_still_holds(restarted: Restarted) -> None:
    with refused("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"):
        restarted.client.range(b"key-0", revision=9)


def test_leases_and_their_keys_are_back(restarted: Restarted) -> None:
    response = restarted.client.lease(LeaseTimeToLiveRequest(ID=5, keys=True))
    assert (response.grantedTTL, list(response.keys)) == (1000, [b"leased"])


def test_alarms_are_back(restarted: Restarted) -> None:
    alarms = restarted.client.maintenance(AlarmRequest()).alarms
    assert [(one.memberID, one.alarm) for one in alarms] == [(77, CORRUPT)]
    with refused("DATA_LOSS", "etcdserver: corrupt cluster"):
        restarted.client.put(b"k")
