"""The Cluster service: who the members are, and how that changes. Knows no transport."""

from collections.abc import Callable, Sequence
from typing import Any

from kvstore.commands import (
    AddMember,
    MembershipCommand,
    PromoteMember,
    RemoveMember,
    UpdateMember,
)
from kvstore.errors import ConfigError, KvError, MemberTooLargeError, MemberUrlsError
from kvstore.members import MemberRecord
from kvstore.pb import rpc_pb2
from kvstore.server import convert
from kvstore.server.call import Call, Methods, admit
from kvstore.server.membership_keeper import MembershipKeeper, Records
from kvstore.server.node import Node
from kvstore.urls import are_bounded, parse_url, parse_urls

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


class ClusterService:
    """Lists and changes the members of one node's cluster."""

    def __init__(self, node: Node, keeper: MembershipKeeper) -> None:
        self._node = node
        self._keeper = keeper

    def member_list(self, request: rpc_pb2.MemberListRequest, call: Call) -> None:
        """All members in the order of their ids; who has not published has no name yet."""

        admit(call, self._node)

        def done(error: KvError | None) -> None:
            if error is not None:
                call.fail(error)
            else:
                members = _in_order(self._node.machine.members.records)
                call.reply(rpc_pb2.MemberListResponse(header=self._header(), members=members))

        if request.linearizable:
            self._node.read_index(done)
        else:
            done(None)

    def member_add(self, request: rpc_pb2.MemberAddRequest, call: Call) -> None:
        """Add a voter or a learner, which may then be started."""
        member_id = self._node.random.getrandbits(63) + 1  # never 0, that means none
        command = AddMember(member_id, _peer_urls(request.peerURLs), request.isLearner)

        def respond(records: Records) -> rpc_pb2.MemberAddResponse:
            added = _member(member_id, records[member_id])
            return rpc_pb2.MemberAddResponse(
                header=self._header(), member=added, members=_in_order(records)
            )

        self._change(command, call, respond)

    def member_remove(self, request: rpc_pb2.MemberRemoveRequest, call: Call) -> None:
        """Remove a member for good; it stops by itself."""
        self._change(
            RemoveMember(request.ID), call, self._respond_with(rpc_pb2.MemberRemoveResponse)
        )

    def member_update(self, request: rpc_pb2.MemberUpdateRequest, call: Call) -> None:
        """Tell where a member is reached by its peers from now on."""
        self._change(
            UpdateMember(request.ID, _peer_urls(request.peerURLs)),
            call,
            self._respond_with(rpc_pb2.MemberUpdateResponse),
        )

    def member_promote(self, request: rpc_pb2.MemberPromoteRequest, call: Call) -> None:
        """Make a learner a voter, once it has caught up."""
        self._change(
            PromoteMember(request.ID), call, self._respond_with(rpc_pb2.MemberPromoteResponse)
        )

    def _change(
        self, command: MembershipCommand, call: Call, respond: Callable[[Records], Any]
    ) -> None:
        admit(call, self._node)

        def done(result: Records | KvError) -> None:
            if isinstance(result, KvError):
                call.fail(result)
            else:
                call.reply(respond(result))

        self._keeper.change(command, done)

    def _respond_with(self, response_type: Callable[..., Any]) -> Callable[[Records], Any]:
        return lambda records: response_type(header=self._header(), members=_in_order(records))

    def _header(self) -> rpc_pb2.ResponseHeader:
        # etcd tells no revision here: the members are no part of the key space.
        return convert.header(self._node, 0)


def _peer_urls(urls: Sequence[str]) -> tuple[str, ...]:
    if not are_bounded(urls):
        raise MemberTooLargeError
    try:
        valid = parse_urls(",".join(urls))
        for url in valid:
            parse_url(url).host.encode("idna")  # or no resolver would take it
    except (ConfigError, UnicodeError) as error:
        raise MemberUrlsError(str(error)) from None
    return valid


def _in_order(records: Records) -> list[rpc_pb2.Member]:
    return [_member(member_id, records[member_id]) for member_id in sorted(records)]


def _member(member_id: int, record: MemberRecord) -> rpc_pb2.Member:
    return rpc_pb2.Member(
        ID=member_id,
        name=record.name,
        peerURLs=record.peer_urls,
        clientURLs=record.client_urls,
        isLearner=record.is_learner,
    )
