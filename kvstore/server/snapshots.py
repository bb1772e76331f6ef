"""Snapshots of one member: taken when due, sent to a follower far behind, received from a leader.

All three stream in slices from or into the state machine while the member serves; one of each
kind at a time. The order file → rename → folder → WAL marker is `kvstore.storage`'s.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import msgspec

from kvstore.apply import StateMachine
from kvstore.raft.types import InstallSnapshot, SnapshotMeta
from kvstore.seams import SnapshotStream
from kvstore.server.node import Node
from kvstore.storage.log_storage import SnapshotWriter

logger = logging.getLogger(__name__)

# Below this a restart replays the WAL in well under a second: no snapshot needed.
WAL_BYTES_MIN = 64 * 1024 * 1024
# A restart loads the state and replays the WAL, which costs thrice as much per version. So the WAL
# is kept at a fraction of the state: with values of 256 B replaying takes about as long as loading.
WAL_BYTES_PER_STATE_BYTE = 1 / 6
WAL_BYTES_MAX = 192 * 1024 * 1024
# Bytes that may wait for the disk while a snapshot is written.
_SYNC_BYTES = 2 * 1024 * 1024


class SnapshotHeader(msgspec.Struct, frozen=True, array_like=True):
    """What a sender says of its stream before the first chunk."""

    term: int
    meta: SnapshotMeta


class SnapshotKeeper:
    """Takes, sends and receives the snapshots of one node."""

    def __init__(
        self, node: Node, tasks: asyncio.TaskGroup, *, entries_max: int | None = None
    ) -> None:
        """`entries_max`: `--snapshot-count` when it was given explicitly."""
        self._node = node
        self._tasks = tasks
        self._entries_max = entries_max
        self._snapshot_index = node.machine.applied_index
        self._taking: asyncio.Task[None] | None = None
        # Taking one and installing one exclude each other: both move the marker in the WAL.
        self._marking = asyncio.Lock()
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._receiving: SnapshotMeta | None = None
        node.on_applied.append(self._take_if_due)
        node.send_snapshot = self._send
        node.install_snapshot = self._install

    # ------------------------------------------------------------------ taking

    def snapshot_now(self) -> asyncio.Task[None]:
        """Take a snapshot (or join the one under way); the task ends when it is durable."""
        if self._taking is None or self._taking.done():
            self._taking = self._tasks.create_task(self._take())
        return self._taking

    def _take_if_due(self) -> None:
        if self._taking is not None and not self._taking.done():
            return
        if self._receiving is None and self._is_due():
            self.snapshot_now()

    def _is_due(self) -> bool:
        """A restart would take long for the WAL's sake; the price is writing the state again."""
        wal_bytes = self._node.storage.wal_bytes
        if self._entries_max is not None:
            return self._node.machine.applied_index - self._snapshot_index >= self._entries_max
        share = self._node.machine.store.size_bytes * WAL_BYTES_PER_STATE_BYTE
        return wal_bytes >= min(max(WAL_BYTES_MIN, share), WAL_BYTES_MAX)

    def _meta(self) -> SnapshotMeta:
        node = self._node
        return SnapshotMeta(node.machine.applied_index, node.applied_term, node.raft.membership)

    async def close(self) -> None:
        """Give up what is under way; only then may the storage be closed."""
        tasks = [*self._sending.values()]
        if self._taking is not None:
            tasks.append(self._taking)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _take(self) -> None:
        async with self._marking:
            await self._take_and_mark()

    async def _take_and_mark(self) -> None:
        node, meta = self._node, self._meta()
        if meta.index == self._snapshot_index or node.raft.is_installing:
            return  # one that was just installed, or is about to be, says it all
        chunks = node.machine.snapshot_chunks()
        started = node.clock.now()
        writer = node.storage.create_snapshot(meta)
        try:
            await self._write(writer, chunks)
            await writer.finish()
        except BaseException:
            writer.abort()
            raise
        await node.storage.mark_snapshot(meta, reset_log=False)
        self._snapshot_index = meta.index
        seconds = node.clock.now() - started
        logger.info("snapshot at index %d durable after %.2f s", meta.index, seconds)

    async def _write(self, writer: SnapshotWriter, chunks: Iterator[bytes]) -> None:
        unsynced = 0
        async for chunk in self._in_slices(chunks):
            writer.write(chunk)
            unsynced += len(chunk)
            if unsynced >= _SYNC_BYTES:
                await writer.sync()
                unsynced = 0

    async def _in_slices(self, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks, giving the loop a turn after each so that nothing waits for long."""
        for chunk in chunks:
            yield chunk
            await self._node.clock.sleep(0)

    # ------------------------------------------------------------------ sending

    def _send(self, member_id: int) -> None:
        if member_id not in self._sending:
            self._sending[member_id] = self._tasks.create_task(self._stream_to(member_id))

    async def _stream_to(self, member_id: int) -> None:
        node, meta = self._node, self._meta()
        header = msgspec.msgpack.encode(SnapshotHeader(node.term, meta))
        chunks = node.machine.snapshot_chunks()
        node.log_window.hold(member_id, meta.index)
        is_stored = False
        try:
            await node.transport.send_snapshot(member_id, header, self._in_slices(chunks))
            is_stored = True
            logger.info("peer %x stored our snapshot at index %d", member_id, meta.index)
        except (ConnectionError, TimeoutError) as error:
            logger.warning("peer %x did not take our snapshot: %s", member_id, error)
        finally:
            del self._sending[member_id]
            if not is_stored:
                node.log_window.release(member_id)
        node.raft.report_snapshot(member_id, meta.index, is_stored)
        node.wake()

    # ------------------------------------------------------------------ receiving

    async def receive(self, stream: SnapshotStream) -> None:
        """Store a peer's snapshot, then let the core decide whether to install it.

        Raises ConnectionError when it is refused or breaks off; nothing is left behind then.
        """
        node = self._node
        header = msgspec.msgpack.decode(stream.header, type=SnapshotHeader)
        if self._receiving is not None:
            raise ConnectionRefusedError("another snapshot is being received")
        if header.meta.index <= node.raft.commit_index or header.term < node.raft.term:
            raise ConnectionRefusedError("the snapshot is not newer than what is here")
        self._receiving = header.meta
        try:
            await self._store(stream, header.meta)
            node.raft.step(
                InstallSnapshot(
                    to=node.member_id, sender=stream.sender, term=header.term, meta=header.meta
                )
            )
        finally:
            self._receiving = None
        node.wake()

    async def _store(self, stream: SnapshotStream, meta: SnapshotMeta) -> None:
        writer = self._node.storage.create_snapshot(meta)
        try:
            unsynced = 0
            async for chunk in stream.chunks:
                writer.write(chunk)
                unsynced += len(chunk)
                if unsynced >= _SYNC_BYTES:
                    await writer.sync()
                    unsynced = 0
            await writer.finish()
        except BaseException:
            writer.abort()
            raise

    async def _install(self, meta: SnapshotMeta) -> None:
        """Called by the node in its order of durability: marker, then the new state machine."""
        node = self._node
        async with self._marking:
            await node.storage.mark_snapshot(meta, reset_log=True)
            machine = await self._restore()
            node.machine = machine
            node.watches.restored()
            node.applied_term = meta.term
            self._snapshot_index = meta.index
        assert machine.applied_index == meta.index, "the snapshot is not what its header says"

    async def _restore(self) -> StateMachine:
        """The newest snapshot's state, in slices: peers and clients are heard meanwhile."""
        slices = StateMachine.restore_slices(self._node.storage.read_snapshot())
        while True:
            try:
                next(slices)
            except StopIteration as done:
                machine: StateMachine = done.value
                return machine
            await self._node.clock.sleep(0)
