"""The Cluster service: who the members are, and how that changes.

A change is sent once. When its outcome is unknown (UnavailableError) the list of members tells.
"""

from collections.abc import Sequence
from typing import Any

from kvstore.client import convert, methods
from kvstore.client.connection import Connection
from kvstore.client.types import MemberAdded, MemberList
from kvstore.pb import rpc_pb2


class Cluster:
    """The members of the cluster."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def member_list(
        self, *, linearizable: bool = True, timeout_seconds: float | None = None
    ) -> MemberList:
        """The members; with `linearizable=False` as the member asked knows them."""
        response = await self._connection.call(
            methods.MEMBER_LIST,
            rpc_pb2.MemberListRequest(linearizable=linearizable),
            is_read=True,
            needs_leader=linearizable,
            timeout_seconds=timeout_seconds,
        )
        return _members(response)

    async def member_add(
        self,
        peer_urls: Sequence[str],
        *,
        is_learner: bool = False,
        timeout_seconds: float | None = None,
    ) -> MemberAdded:
        """Add a voter or a learner; then start it with `--initial-cluster-state=existing`."""
        request = rpc_pb2.MemberAddRequest(peerURLs=peer_urls, isLearner=is_learner)
        response = await self._change(methods.MEMBER_ADD, request, timeout_seconds)
        members = tuple(map(convert.member, response.members))
        header = convert.header(response.header)
        return MemberAdded(header, convert.member(response.member), members)

    async def member_remove(
        self, member_id: int, *, timeout_seconds: float | None = None
    ) -> MemberList:
        """Remove a member for good; it stops by itself."""
        request = rpc_pb2.MemberRemoveRequest(ID=member_id)
        return _members(await self._change(methods.MEMBER_REMOVE, request, timeout_seconds))

    async def member_update(
        self, member_id: int, peer_urls: Sequence[str], *, timeout_seconds: float | None = None
    ) -> MemberList:
        """Tell where a member is reached by its peers from now on."""
        request = rpc_pb2.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls)
        return _members(await self._change(methods.MEMBER_UPDATE, request, timeout_seconds))

    async def member_promote(
        self, member_id: int, *, timeout_seconds: float | None = None
    ) -> MemberList:
        """Make a learner a voter. LearnerNotReadyError: it has not caught up yet."""
        request = rpc_pb2.MemberPromoteRequest(ID=member_id)
        return _members(await self._change(methods.MEMBER_PROMOTE, request, timeout_seconds))

    async def _change(self, method: Any, request: Any, timeout_seconds: float | None) -> Any:
        return await self._connection.call(
            method, request, is_read=False, needs_leader=True, timeout_seconds=timeout_seconds
        )


def _members(response: Any) -> MemberList:
    return MemberList(convert.header(response.header), tuple(map(convert.member, response.members)))
