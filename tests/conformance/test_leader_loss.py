"""What clients notice of the leader's end."""

import pytest

from kvstore.testing.processes import ClusterProcesses
from tests.conformance.client import Client, WatchStream, refused

pytestmark = pytest.mark.slow


def test_a_watch_stream_with_hasleader_ends_when_the_leader_is_lost(
    trio: ClusterProcesses, leader: Client, followers: list[Client]
) -> None:
    watching, other = followers
    stream = WatchStream(watching, metadata=[("hasleader", "true")])
    stream.created(b"leader-loss")
    for member in trio.members:
        if member.endpoint in (leader.endpoint, other.endpoint):
            member.pause()
    with refused("UNAVAILABLE", "etcdserver: no leader"):
        stream.receive()
    stream.close()


def test_a_watch_without_hasleader_outlives_the_leader(
    trio: ClusterProcesses, leader: Client, followers: list[Client], prefix: bytes
) -> None:
    stream = WatchStream(followers[0])
    stream.created(prefix)
    followers[0].put(prefix, b"before")
    killed = next(member for member in trio.members if member.endpoint == leader.endpoint)
    killed.kill()
    survivors = [member for member in trio.members if member is not killed]
    trio.wait_ready(survivors)
    followers[1].put(prefix, b"after")
    assert [event.kv.value for event in stream.events(2)] == [b"before", b"after"]
    stream.close()


def test_writes_go_on_after_the_leader_is_killed(
    trio: ClusterProcesses, leader: Client, followers: list[Client], prefix: bytes
) -> None:
    followers[0].put(prefix, b"before")
    members = trio.members
    killed = next(member for member in members if member.endpoint == leader.endpoint)
    killed.kill()
    survivors = [member for member in members if member is not killed]
    trio.wait_ready(survivors)
    assert followers[1].range(prefix).kvs[0].value == b"before"
    followers[0].put(prefix, b"after")
    assert followers[1].range(prefix).kvs[0].value == b"after"
