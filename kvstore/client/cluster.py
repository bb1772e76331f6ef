"""The Cluster service: who the members are."""

from kvstore.client import convert, methods
from kvstore.client.connection import Connection
from kvstore.client.types import MemberList
from kvstore.pb import rpc_pb2


class Cluster:
    """Questions about the membership."""

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
        members = tuple(map(convert.member, response.members))
        return MemberList(convert.header(response.header), members)
