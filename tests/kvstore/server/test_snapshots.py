"""Snapshots of one member: received from a leader, taken at bad moments, given up at the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from kvstore.apply import StateMachine
from kvstore.commands import Proposal, Put
from kvstore.errors import DiskError
from kvstore.pb import rpc_pb2 as pb
from kvstore.raft.types import SnapshotMeta
from kvstore.server.snapshots import SnapshotHeader, SnapshotKeeper
from tests.kvstore.server.single import PATIENT, Running, running
from tests.kvstore.server.test_kv import LONELY

_INDEX = 3_000
_TERM = 3


class Incoming:
    """A leader's snapshot, as the transport hands it over."""

    def __init__(self, sender: int, meta: SnapshotMeta, chunks: list[bytes]) -> None:
        self.sender = sender
        self.header = msgspec.msgpack.encode(SnapshotHeader(meta.term, meta))
        self.chunks = _each(chunks)


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _incoming(member: Running) -> Incoming:
    leader = StateMachine()
    for index in range(1, _INDEX + 1):
        leader.apply(index, Proposal(1, 0, Put(b"k%06d" % index, b"v" * 100)))
    voters = member.node.raft.membership.voters
    sender = next(voter for voter in voters if voter != member.node.member_id)
    meta = SnapshotMeta(_INDEX, _TERM, member.node.raft.membership)
    return Incoming(sender, meta, list(leader.snapshot_chunks()))


def _keeper(member: Running) -> SnapshotKeeper:
    return member.member._snapshots


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the loop itself makes it true
            await asyncio.sleep(0)


@pytest.fixture
async def follower(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PATIENT, *LONELY) as member:
        yield member


async def test_an_installed_snapshot_is_published_without_a_further_write(
    follower: Running,
) -> None:
    """Watchers that it left behind, and compaction, must not wait for the next entry."""
    published: list[int] = []
    follower.node.on_applied.append(lambda: published.append(follower.node.machine.applied_index))
    await _keeper(follower).receive(_incoming(follower))
    await _until(lambda: _INDEX in published)
    assert follower.node.machine.store.key_count == _INDEX


async def test_a_snapshot_asked_for_during_an_install_waits_for_it(follower: Running) -> None:
    await _keeper(follower).receive(_incoming(follower))
    await _until(lambda: follower.node.storage.snapshot_bytes > 0)
    assert follower.node.machine.applied_index < _INDEX, "the install is under way"
    await _keeper(follower).snapshot_now()
    assert follower.node.machine.applied_index == _INDEX


async def test_peers_are_answered_during_an_install(follower: Running) -> None:
    """Else a leader with one other member down would lose its quorum."""
    await _keeper(follower).receive(_incoming(follower))
    await _until(lambda: follower.node.storage.snapshot_bytes > 0)
    turns = 0
    while follower.node.machine.applied_index < _INDEX:
        assert follower.node._is_processing, "so ticks and frames send what they cause at once"
        turns += 1
        await asyncio.sleep(0)
    assert turns > 1, "the install gave way to others"


async def test_a_snapshot_that_could_not_be_stored_is_not_the_last(
    follower: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: SnapshotMeta) -> None:
        raise DiskError("cannot create a file: Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(follower.node.storage, "create_snapshot", fail)
        with pytest.raises(DiskError):
            await _keeper(follower).receive(_incoming(follower))
    await _keeper(follower).receive(_incoming(follower))
    await _until(lambda: follower.node.machine.applied_index == _INDEX)


async def test_stopping_gives_up_a_snapshot_under_way(tmp_path: Path) -> None:
    async with running(tmp_path, PATIENT) as member:
        value = bytes(100_000)
        for number in range(20):
            await member.call(
                "KV/Put", pb.PutRequest(key=b"%d" % number, value=value), pb.PutResponse
            )
        taking = _keeper(member).snapshot_now()
        await asyncio.sleep(0)
    assert taking.cancelled()
    async with running(tmp_path, PATIENT) as again:
        await _until(lambda: again.node.machine.store.key_count == 20)
