"""The Cluster service: who the members are. Changing them is not supported yet.

Knows no transport. Names and client URLs come from the log (`PublishMember`), peer URLs from the
configuration.
"""

from collections.abc import Mapping, Sequence

from kvstore.apply import MemberAttributes
from kvstore.errors import KvError, UnsupportedError
from kvstore.pb import rpc_pb2
from kvstore.server import convert
from kvstore.server.call import Call, Methods, require_leader
from kvstore.server.node import Node

METHODS: Methods = {
    "/etcdserverpb.Cluster/MemberList": ("member_list", rpc_pb2.MemberListRequest, "unary"),
    "/etcdserverpb.Cluster/MemberAdd": ("member_add", rpc_pb2.MemberAddRequest, "unary"),
    "/etcdserverpb.Cluster/MemberRemove": (
        "member_remove",
        rpc_pb2.MemberRemoveRequest,
        "unary",
    ),
    "/etcdserverpb.Cluster/MemberUpdate": (
        "member_update",
        rpc_pb2.MemberUpdateRequest,
        "unary",
    ),
    "/etcdserverpb.Cluster/MemberPromote": (
        "member_promote",
        rpc_pb2.MemberPromoteRequest,
        "unary",
    ),
}

_UNPUBLISHED = MemberAttributes("", ())


class ClusterService:
    """Lists the members of one node's cluster."""

    def __init__(self, node: Node, peer_urls: Mapping[int, Sequence[str]]) -> None:
        """`peer_urls` names every member: id → URLs."""
        self._node = node
        self._peer_urls = peer_urls

    def member_list(self, request: rpc_pb2.MemberListRequest, call: Call) -> None:
        """All members in the order of their ids; who has not published has no name yet."""

        require_leader(call, self._node.leader_id)

        def done(error: KvError | None) -> None:
            if error is not None:
                call.fail(error)
            else:
                call.reply(self._response())

        if request.linearizable:
            self._node.read_index(done)
        else:
            done(None)

    def _response(self) -> rpc_pb2.MemberListResponse:
        # etcd tells no revision here: the members are no part of the key space.
        return rpc_pb2.MemberListResponse(
            header=convert.header(self._node, 0),
            members=[self._member(member_id) for member_id in sorted(self._peer_urls)],
        )

    def _member(self, member_id: int) -> rpc_pb2.Member:
        attributes = self._node.machine.members.get(member_id, _UNPUBLISHED)
        return rpc_pb2.Member(
            ID=member_id,
            name=attributes.name,
            peerURLs=self._peer_urls[member_id],
            clientURLs=attributes.client_urls,
            isLearner=member_id in self._node.raft.membership.learners,
        )

    def member_add(self, _request: rpc_pb2.MemberAddRequest, _call: Call) -> None:
        """Refuse."""
        raise UnsupportedError("adding a member to a running cluster")

    def member_remove(self, _request: rpc_pb2.MemberRemoveRequest, _call: Call) -> None:
        """Refuse."""
        raise UnsupportedError("removing a member from a running cluster")

    def member_update(self, _request: rpc_pb2.MemberUpdateRequest, _call: Call) -> None:
        """Refuse."""
        raise UnsupportedError("changing the peer URLs of a member")

    def member_promote(self, _request: rpc_pb2.MemberPromoteRequest, _call: Call) -> None:
        """Refuse."""
        raise UnsupportedError("learners")
