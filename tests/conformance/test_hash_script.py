"""HashKV across systems: the values that etcd 3.4.23 computes for a fixed script of writes."""

from collections.abc import Iterator

import pytest

from kvstore.pb.rpc_pb2 import HashKVRequest, LeaseGrantRequest, LeaseRevokeRequest
from tests.conformance.client import Client, op_delete, op_put
from tests.conformance.conftest import StartCluster

LEASE_ID = 1001
HASHES_BY_STEP = {
    "empty": 1084519789,
    "puts": 3331566329,
    "deletes": 262658240,
    "txn": 191618991,
    "lease": 3235570345,
    "compacted": 3702195595,
    "compacted at a tombstone": 3082319170,
}


def steps(client: Client) -> Iterator[str]:
    """Run the script; yields a name after each step."""
    yield "empty"
    for n in range(20):
        client.put(b"key-%02d" % (n % 7), b"value-%d" % n)
    yield "puts"
    client.delete(b"key-03")
    client.delete(b"key-04", b"key-06")
    client.put(b"key-03", b"again")
    yield "deletes"
    client.txn(success=[op_put(b"a", b"1"), op_delete(b"key-00"), op_put(b"z" * 300, b"\xff" * 9)])
    yield "txn"
    client.lease(LeaseGrantRequest(ID=LEASE_ID, TTL=1000))
    for name in (b"leased-2", b"leased-1"):
        client.put(name, lease=LEASE_ID)
    client.lease(LeaseRevokeRequest(ID=LEASE_ID))
    yield "lease"
    client.compact(15, physical=True)
    yield "compacted"
    client.compact(client.revision(), physical=True)
    yield "compacted at a tombstone"


@pytest.fixture(scope="module")
def hashes(start_shared_cluster: StartCluster) -> dict[str, int]:
    client = Client(start_shared_cluster().endpoints[0])
    found = {step: client.maintenance(HashKVRequest()).hash for step in steps(client)}
    client.close()
    return found


@pytest.mark.parametrize("step", HASHES_BY_STEP)
def test_hash_kv_of_a_script_is_the_known_one(hashes: dict[str, int], step: str) -> None:
    assert hashes[step] == HASHES_BY_STEP[step]
