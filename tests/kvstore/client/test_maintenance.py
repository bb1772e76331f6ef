"""Maintenance and cluster, against real members."""

import hashlib

import pytest

from kvstore.client import Client, SnapshotCorruptError
from kvstore.client.maintenance import Maintenance
from kvstore.errors import BadLeaderTransfereeError, UnavailableError
from kvstore.pb import rpc_pb2
from kvstore.seams import RpcFailure
from kvstore.testing.processes import ClusterProcesses
from tests.kvstore.client.channels import connect

pytestmark = pytest.mark.usefixtures("channel")


async def test_status_tells_of_the_member(single: ClusterProcesses, client: Client) -> None:
    status = await client.maintenance.status(single.endpoints[0])
    (member,) = (await client.cluster.member_list()).members
    assert status.leader == status.header.member_id == member.member_id
    assert status.version.startswith("3.")
    assert status.raft_index >= status.raft_applied_index > 0
    assert member.client_urls == (single.members[0].client_url,)


async def test_hashes_depend_on_the_revision(client: Client, key: str) -> None:
    revision = (await client.put(key, "1")).header.revision
    before = await client.maintenance.hash_kv(revision=revision)
    await client.put(key, "2")
    again = await client.maintenance.hash_kv(revision=revision)
    newest = await client.maintenance.hash_kv()
    assert before.hash == again.hash != newest.hash


async def test_a_snapshot_arrives_whole(client: Client, key: str) -> None:
    await client.put(key, b"x" * 200_000)
    data = b"".join([chunk async for chunk in client.maintenance.snapshot()])
    assert len(data) > 200_000
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]


class _SnapshotStream:
    """A snapshot as some member might send it."""

    def __init__(self, blobs: list[bytes | RpcFailure]) -> None:
        self.blobs = blobs

    async def send(self, request: object) -> None:
        assert isinstance(request, rpc_pb2.SnapshotRequest)

    async def receive(self) -> rpc_pb2.SnapshotResponse | None:
        blob = self.blobs.pop(0) if self.blobs else None
        if isinstance(blob, RpcFailure):
            raise blob
        return None if blob is None else rpc_pb2.SnapshotResponse(blob=blob)

    def cancel(self) -> None:
        """Nothing to end."""


class _OneStream:
    """A connection with nothing but that stream."""

    endpoint = "a"

    def __init__(self, *blobs: bytes | RpcFailure) -> None:
        self._stream = _SnapshotStream(list(blobs))

    def stream(self, endpoint: str, method: object, *, needs_leader: bool) -> _SnapshotStream:
        return self._stream


async def received(*blobs: bytes | RpcFailure) -> bytes:
    maintenance = Maintenance(_OneStream(*blobs))  # type: ignore[arg-type]
    return b"".join([chunk async for chunk in maintenance.snapshot()])


async def test_a_snapshot_is_verified_however_it_is_cut() -> None:
    data = bytes(range(256)) * 5
    whole = data + hashlib.sha256(data).digest()
    assert await received(whole) == whole
    assert await received(*(bytes([byte]) for byte in whole)) == whole
    assert await received(data, whole[-32:]) == whole
    for broken in (whole[:-1], whole[1:], b"", data, whole[:100] + b"\0" + whole[101:]):
        with pytest.raises(SnapshotCorruptError):
            await received(broken)
    with pytest.raises(UnavailableError):
        await received(data, RpcFailure("UNAVAILABLE", "Socket closed"))


async def test_defragment_and_alarms_answer(client: Client) -> None:
    await client.maintenance.defragment()
    assert (await client.maintenance.alarm_list()).alarms == ()


async def test_leadership_moves_to_the_member_that_is_named(three: ClusterProcesses) -> None:
    async with connect(three.endpoints) as client:
        leader = (await client.maintenance.status()).leader
        members = (await client.cluster.member_list()).members
        other = next(m.member_id for m in members if m.member_id != leader)
        assert await client.maintenance.move_leader(other) == leader
        assert (await client.maintenance.status()).leader == other
        with pytest.raises(BadLeaderTransfereeError):
            await client.maintenance.move_leader(404)


async def test_what_is_asked_of_a_member_does_not_go_to_another(single: ClusterProcesses) -> None:
    async with connect(["127.0.0.1:1", *single.endpoints]) as client:
        with pytest.raises(UnavailableError):
            await client.maintenance.status("127.0.0.1:1")
        assert (await client.maintenance.status(single.endpoints[0])).version
