"""One member of three without the others: what it refuses and what it still serves."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvstore.pb.rpc_pb2 import (
    LeaseLeasesRequest,
    MemberListRequest,
    PutRequest,
    RangeRequest,
    StatusRequest,
)
from kvstore.testing.processes import ClusterProcesses
from tests.conformance.client import Client, Refused, WatchStream, refused

pytestmark = pytest.mark.slow
covers = pytest.mark.covers
NO_LEADER = ("UNAVAILABLE", "etcdserver: no leader")
HAS_LEADER = [("hasleader", "true")]
LEADER_LOST_SECONDS_MAX = 15.0


def lose_quorum(cluster: ClusterProcesses) -> Client:
    """Pause two of the members, the leader among them; a client of the third."""
    leader = cluster.leader()
    assert leader is not None
    follower, alone = (member for member in cluster.members if member is not leader)
    client = Client(alone.endpoint)
    client.put(b"quorum", b"v")
    for member in (leader, follower):
        member.pause()
    deadline = time.monotonic() + LEADER_LOST_SECONDS_MAX
    while client.maintenance(StatusRequest()).leader != 0:
        assert time.monotonic() < deadline, "it still believes in a leader"
    return client


@pytest.fixture(scope="module")
def alone(shared_trio: ClusterProcesses) -> Iterator[Client]:
    """A client of the one member that runs."""
    shared_trio.wait_ready()
    client = lose_quorum(shared_trio)
    yield client
    client.close()
    for member in shared_trio.members:
        member.resume()
    shared_trio.wait_ready()


@covers("UNAVAILABLE etcdserver: no leader")
def test_hasleader_refuses_linearizable_reads(alone: Client) -> None:
    with refused(*NO_LEADER):
        alone.kv(RangeRequest(key=b"quorum"), metadata=HAS_LEADER)


def test_hasleader_refuses_serializable_reads(alone: Client) -> None:
    with refused(*NO_LEADER):
        alone.kv(RangeRequest(key=b"quorum", serializable=True), metadata=HAS_LEADER)


def test_hasleader_refuses_writes(alone: Client) -> None:
    with refused(*NO_LEADER):
        alone.kv(PutRequest(key=b"quorum"), metadata=HAS_LEADER)


def test_hasleader_refuses_lease_calls(alone: Client) -> None:
    with refused(*NO_LEADER):
        alone.lease(LeaseLeasesRequest(), metadata=HAS_LEADER)


def test_hasleader_refuses_watch_streams(alone: Client) -> None:
    stream = WatchStream(alone, metadata=HAS_LEADER)
    stream.create(b"quorum")
    with refused(*NO_LEADER):
        stream.receive()
    stream.close()


def test_hasleader_with_another_value_asks_nothing(alone: Client) -> None:
    request = RangeRequest(key=b"quorum", serializable=True)
    assert alone.kv(request, metadata=[("hasleader", "false")]).count == 1


def test_serializable_reads_go_on(alone: Client) -> None:
    assert alone.range(b"quorum", serializable=True).kvs[0].value == b"v"


def test_a_watch_of_history_goes_on(alone: Client) -> None:
    revision = alone.range(b"quorum", serializable=True).kvs[0].mod_revision
    stream = WatchStream(alone)
    stream.created(b"quorum", start_revision=revision)
    assert stream.events(1)[0].kv.value == b"v"
    stream.close()


def test_status_names_no_leader(alone: Client) -> None:
    status = alone.maintenance(StatusRequest())
    assert (status.leader, list(status.errors)) == (0, ["etcdserver: no leader"])


def test_the_member_list_is_still_served(alone: Client) -> None:
    response = alone.unary("/etcdserverpb.Cluster/MemberList", MemberListRequest())
    assert len(response.members) == 3


def test_a_callers_deadline_ends_a_write(alone: Client) -> None:
    # The server sees the deadline too, and the answer of either side may be the first: etcd 3.4
    # lets the bare error of its context through, as below.
    both = "DEADLINE_EXCEEDED|UNKNOWN: context deadline exceeded"
    with pytest.raises(Refused, match=both):
        alone.kv(PutRequest(key=b"quorum"), timeout_seconds=0.5)


@covers("UNAVAILABLE etcdserver: request timed out")
def test_linearizable_reads_and_writes_time_out(alone: Client) -> None:
    """Both wait for the request timeout (7 s), so they wait together."""
    requests = (RangeRequest(key=b"quorum"), PutRequest(key=b"quorum"))

    def outcome(request: RangeRequest | PutRequest) -> tuple[str, str]:
        with pytest.raises(Refused) as caught:
            alone.kv(request, timeout_seconds=30)
        return caught.value.code.name, caught.value.text

    with ThreadPoolExecutor() as threads:
        read, write = threads.map(outcome, requests)
    assert read == ("UNAVAILABLE", "etcdserver: request timed out")
    # etcd 3.4 lets the bare deadline through for writes; later versions say it in their words.
    assert write in {read, ("UNKNOWN", "context deadline exceeded")}
