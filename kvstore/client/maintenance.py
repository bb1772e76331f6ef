"""The Maintenance service. Most of it asks one member: it takes an endpoint, without fail-over.

`endpoint=None` means the one in use.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator

from kvstore.client import convert, methods
from kvstore.client.connection import Connection
from kvstore.client.failures import error_from
from kvstore.client.types import AlarmList, AlarmMember, HashKv, Status
from kvstore.commands import AlarmAction, AlarmType
from kvstore.errors import KvError, NotLeaderError, UnavailableError
from kvstore.pb import rpc_pb2
from kvstore.seams import RpcFailure

_DIGEST_BYTES = hashlib.sha256().digest_size


class SnapshotCorruptError(KvError):
    """The snapshot that arrived is not the one that was sent; do not use what was saved."""


class Maintenance:
    """Status, hashes, snapshots, alarms, leadership."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def status(
        self, endpoint: str | None = None, *, timeout_seconds: float | None = None
    ) -> Status:
        """A member's version, size and place in the cluster."""
        response = await self._connection.call_endpoint(
            endpoint or self._connection.endpoint,
            methods.STATUS,
            rpc_pb2.StatusRequest(),
            is_read=True,
            timeout_seconds=timeout_seconds,
        )
        return Status(
            header=convert.header(response.header),
            version=response.version,
            db_size=response.dbSize,
            db_size_in_use=response.dbSizeInUse,
            leader=response.leader,
            raft_index=response.raftIndex,
            raft_term=response.raftTerm,
            raft_applied_index=response.raftAppliedIndex,
            errors=tuple(response.errors),
            is_learner=response.isLearner,
        )

    async def hash_kv(
        self,
        endpoint: str | None = None,
        *,
        revision: int = 0,
        timeout_seconds: float | None = None,
    ) -> HashKv:
        """Hash of a member's key space at a revision (0: its newest)."""
        response = await self._connection.call_endpoint(
            endpoint or self._connection.endpoint,
            methods.HASH_KV,
            rpc_pb2.HashKVRequest(revision=revision),
            is_read=True,
            timeout_seconds=timeout_seconds,
        )
        header = convert.header(response.header)
        return HashKv(header, response.hash, response.compact_revision)

    async def defragment(
        self, endpoint: str | None = None, *, timeout_seconds: float | None = None
    ) -> None:
        """Let a member give back the space of compacted history."""
        await self._connection.call_endpoint(
            endpoint or self._connection.endpoint,
            methods.DEFRAGMENT,
            rpc_pb2.DefragmentRequest(),
            is_read=False,
            timeout_seconds=timeout_seconds,
        )

    async def snapshot(self, endpoint: str | None = None) -> AsyncIterator[bytes]:
        """A member's snapshot in pieces, its SHA-256 as the last 32 bytes.

        SnapshotCorruptError after the last piece when the hash does not match; UnavailableError
        when the stream breaks. In both cases what was received is useless.
        """
        digest = hashlib.sha256()
        tail = b""  # the digest is sent last, in whatever pieces: always hold back its length
        stream = None
        try:
            stream = self._connection.stream(
                endpoint or self._connection.endpoint, methods.SNAPSHOT, needs_leader=False
            )
            await stream.send(rpc_pb2.SnapshotRequest())
            while (response := await stream.receive()) is not None:
                tail += response.blob
                digest.update(tail[:-_DIGEST_BYTES])
                tail = tail[-_DIGEST_BYTES:]
                yield response.blob
        except RpcFailure as failure:
            raise error_from(failure, is_read=True) from None
        finally:
            if stream is not None:
                stream.cancel()
        if tail != digest.digest():
            raise SnapshotCorruptError("the snapshot does not match its SHA-256")

    async def alarm_list(self, *, timeout_seconds: float | None = None) -> AlarmList:
        """Alarms that members have raised."""
        return await self._alarm(AlarmAction.GET, 0, AlarmType.NONE, timeout_seconds)

    async def alarm_disarm(
        self, member_id: int, alarm: AlarmType, *, timeout_seconds: float | None = None
    ) -> AlarmList:
        """Take back a member's alarm."""
        return await self._alarm(AlarmAction.DEACTIVATE, member_id, alarm, timeout_seconds)

    async def move_leader(self, member_id: int, *, timeout_seconds: float | None = None) -> int:
        """Hand leadership to a member; the id of the one that had it. One endpoint is its own."""
        endpoint, leader_id = await self._leader(timeout_seconds)
        await self._connection.call_endpoint(
            endpoint,
            methods.MOVE_LEADER,
            rpc_pb2.MoveLeaderRequest(targetID=member_id),
            is_read=False,
            timeout_seconds=timeout_seconds,
        )
        return leader_id

    async def _leader(self, timeout_seconds: float | None) -> tuple[str, int]:
        """The endpoint of the leader, and its id. Endpoints that do not answer are passed over."""
        for endpoint in self._connection.endpoints:
            with contextlib.suppress(UnavailableError):
                status = await self.status(endpoint, timeout_seconds=timeout_seconds)
                if status.leader == status.header.member_id:
                    return endpoint, status.leader
        raise NotLeaderError("no leader endpoint among those given")

    async def _alarm(
        self,
        action: AlarmAction,
        member_id: int,
        alarm: AlarmType,
        timeout_seconds: float | None,
    ) -> AlarmList:
        response = await self._connection.call(
            methods.ALARM,
            rpc_pb2.AlarmRequest(
                action=action.value,  # type: ignore[arg-type]
                memberID=member_id,
                alarm=alarm.value,  # type: ignore[arg-type]
            ),
            is_read=action is AlarmAction.GET,
            timeout_seconds=timeout_seconds,
        )
        alarms = tuple(AlarmMember(a.memberID, AlarmType(a.alarm)) for a in response.alarms)
        return AlarmList(convert.header(response.header), alarms)
