"""The hash of equal histories is that of real etcd: the same operations to both, then HashKV."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from kvstore.commands import Compact, DeleteRange, Put
from kvstore.lease import Lessor
from kvstore.mvcc.store import Store
from kvstore.pb import rpc_pb2
from kvstore.testing.processes import ETCD, ClusterProcesses

pytestmark = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")

LEASE = 0x7FFFFFFFFFFFFFF1  # a lease's varint of nine bytes
KEYS = [b"a", b"b", b"\xff\xfe", b"k" * 300]


class Etcd:
    """The calls that this test makes to one real member."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.insecure_channel(endpoint)

    def call(self, method: str, request: Any, response: Any) -> Any:
        multicallable: Any = self._channel.unary_unary(
            f"/etcdserverpb.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return multicallable(request, timeout=20)

    def put(self, command: Put) -> None:
        request = rpc_pb2.PutRequest(key=command.key, value=command.value, lease=command.lease)
        self.call("KV/Put", request, rpc_pb2.PutResponse)

    def delete(self, command: DeleteRange) -> None:
        request = rpc_pb2.DeleteRangeRequest(key=command.key, range_end=command.range_end)
        self.call("KV/DeleteRange", request, rpc_pb2.DeleteRangeResponse)

    def compact(self, revision: int) -> None:
        # Real etcd drops history in the background; `physical` waits for it.
        request = rpc_pb2.CompactionRequest(revision=revision, physical=True)
        self.call("KV/Compact", request, rpc_pb2.CompactionResponse)

    def grant(self) -> None:
        request = rpc_pb2.LeaseGrantRequest(ID=LEASE, TTL=600)
        self.call("Lease/LeaseGrant", request, rpc_pb2.LeaseGrantResponse)

    def hash_kv(self, revision: int) -> tuple[int, int, int]:
        request = rpc_pb2.HashKVRequest(revision=revision)
        response = self.call("Maintenance/HashKV", request, rpc_pb2.HashKVResponse)
        hashed_revision = revision or response.header.revision
        return response.hash, hashed_revision, response.compact_revision

    def close(self) -> None:
        self._channel.close()


class Pair:
    """The same to both stores."""

    def __init__(self, etcd: Etcd) -> None:
        self.etcd = etcd
        lessor = Lessor()
        lessor.grant(LEASE, 600)
        etcd.grant()
        self.store = Store(lessor)

    def put(self, key: bytes, value: bytes = b"", lease: int = 0) -> None:
        command = Put(key, value, lease)
        self.store.put(command)
        self.etcd.put(command)

    def delete(self, key: bytes, range_end: bytes = b"") -> None:
        command = DeleteRange(key, range_end)
        self.store.delete_range(command)
        self.etcd.delete(command)

    def compact(self, revision: int) -> None:
        self.store.compact(Compact(revision))
        self.etcd.compact(revision)

    def assert_equal_hashes(self) -> None:
        first = max(self.store.compact_revision, 0) + 1
        for revision in (0, -1, *range(first, self.store.revision + 1)):
            assert self.store.hash_kv(revision) == self.etcd.hash_kv(revision), revision


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ClusterProcesses(ETCD, tmp_path) as cluster:
        etcd = Etcd(cluster.endpoints[0])
        yield Pair(etcd)
        etcd.close()


def test_an_empty_store_hashes_like_etcd(pair: Pair) -> None:
    pair.assert_equal_hashes()
    pair.compact(0)
    pair.assert_equal_hashes()


def test_histories_with_tombstones_and_compactions_hash_like_etcd(pair: Pair) -> None:
    dice = random.Random(20)
    for _ in range(6):
        for _ in range(15):
            if dice.random() < 0.3:
                pair.delete(dice.choice(KEYS), dice.choice([b"", b"", b"b", b"\0"]))
            else:
                lease = dice.choice([0, LEASE])
                pair.put(dice.choice(KEYS), bytes(dice.randrange(400)), lease)
        pair.assert_equal_hashes()
        pair.compact(dice.randrange(max(pair.store.compact_revision, 0) + 1, pair.store.revision))
        pair.assert_equal_hashes()


def test_when_nothing_is_visible_what_compaction_keeps_still_counts(pair: Pair) -> None:
    pair.put(b"a")
    pair.put(b"a", b"1")
    pair.put(b"b", b"2")
    pair.compact(4)
    pair.delete(b"a", b"\0")
    pair.assert_equal_hashes()
    pair.put(b"c")
    pair.assert_equal_hashes()
    pair.compact(5)
    pair.assert_equal_hashes()


def test_a_compaction_at_a_tombstone_hashes_like_etcd(pair: Pair) -> None:
    pair.put(b"a", b"1")
    pair.put(b"b", b"1")
    pair.delete(b"a")
    pair.put(b"b", b"2")
    pair.compact(4)
    pair.assert_equal_hashes()
    pair.compact(5)
    pair.assert_equal_hashes()
