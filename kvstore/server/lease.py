"""The Lease service: grant, revoke, keep-alive stream, time to live, list.

Grants and revocations are proposed; what needs the time goes to the leader (`lease_keeper`).
Knows no transport.
"""

import math
from collections import deque
from typing import Any

from kvstore.apply import LeaseGrantResult
from kvstore.commands import LeaseGrant, LeaseRevoke
from kvstore.errors import KvError, TooManyRequestsError
from kvstore.lease import LeaseTimeToLive
from kvstore.pb import rpc_pb2
from kvstore.server import convert
from kvstore.server.call import Call, Methods, StreamCall, admit
from kvstore.server.headers import Headers
from kvstore.server.lease_keeper import LeaseKeeper
from kvstore.server.node import Node
from kvstore.server.quota import LEASE_BYTES, Quota

METHODS: Methods = {
    "/etcdserverpb.Lease/LeaseGrant": ("grant", rpc_pb2.LeaseGrantRequest, "unary"),
    "/etcdserverpb.Lease/LeaseRevoke": ("revoke", rpc_pb2.LeaseRevokeRequest, "unary"),
    "/etcdserverpb.Lease/LeaseKeepAlive": ("keep_alive", rpc_pb2.LeaseKeepAliveRequest, "stream"),
    "/etcdserverpb.Lease/LeaseTimeToLive": (
        "time_to_live",
        rpc_pb2.LeaseTimeToLiveRequest,
        "unary",
    ),
    "/etcdserverpb.Lease/LeaseLeases": ("leases", rpc_pb2.LeaseLeasesRequest, "unary"),
}

KEEP_ALIVES_MAX = 1000
"""Unanswered keep-alives of one stream: a client that sends more does not wait for answers."""

_ID_BITS = 63
# A lease outlives an election, or a leader's death would end it before anyone could renew it.
_ELECTIONS_PER_TTL = 1.5
# Below any unit of time that matters, above what floating point adds.
_ROUNDING_SECONDS = 1e-6


class LeaseService:
    """Serves the leases of one node."""

    def __init__(self, node: Node, keeper: LeaseKeeper, quota: Quota) -> None:
        self._node = node
        self._headers = Headers(node)
        self._keeper = keeper
        self._quota = quota
        ttl_seconds = _ELECTIONS_PER_TTL * node.options.election_seconds
        self._ttl_seconds_min = math.ceil(ttl_seconds - _ROUNDING_SECONDS)

    def grant(self, request: rpc_pb2.LeaseGrantRequest, call: Call) -> None:
        """Create a lease. A TTL below the least one is raised to it, also 0 and negative ones."""
        admit(call, self._node)
        if not self._quota.has_room(LEASE_BYTES):
            self._quota.refuse(call)
            return

        def done(result: LeaseGrantResult | KvError) -> None:
            if isinstance(result, KvError):
                call.fail(result)
                return
            header = convert.header(self._node, result.revision)
            call.reply(
                rpc_pb2.LeaseGrantResponse(
                    header=header, ID=result.lease_id, TTL=result.ttl_seconds
                )
            )

        lease_id = request.ID or self._choose_id()
        ttl_seconds = max(request.TTL, self._ttl_seconds_min)
        self._node.propose(LeaseGrant(lease_id, ttl_seconds), done)

    def revoke(self, request: rpc_pb2.LeaseRevokeRequest, call: Call) -> None:
        """End a lease and delete its keys."""
        admit(call, self._node)

        def done(result: Any) -> None:
            if isinstance(result, KvError):
                call.fail(result)
            else:
                header = convert.header(self._node, result.revision)
                call.reply(rpc_pb2.LeaseRevokeResponse(header=header))

        self._node.propose(LeaseRevoke(request.ID), done)

    def keep_alive(self, call: StreamCall) -> None:
        """Renew leases, one per request, answered in order."""
        admit(call, self._node)
        _KeepAlives(self._node, self._headers, self._keeper, call)

    def time_to_live(self, request: rpc_pb2.LeaseTimeToLiveRequest, call: Call) -> None:
        """What the leader knows of a lease; TTL -1 when there is none."""
        admit(call, self._node)

        def done(result: LeaseTimeToLive | KvError | None) -> None:
            if isinstance(result, KvError):
                call.fail(result)
                return
            assert result is not None, "an unknown lease has TTL -1"
            call.reply(
                rpc_pb2.LeaseTimeToLiveResponse(
                    header=self._header(),
                    ID=result.lease_id,
                    TTL=result.ttl_seconds,
                    grantedTTL=result.granted_ttl_seconds,
                    keys=result.keys if request.keys else (),
                )
            )

        self._keeper.time_to_live(request.ID, done)

    def leases(self, _request: rpc_pb2.LeaseLeasesRequest, call: Call) -> None:
        """All ids that this member knows of; as in etcd not linearizable."""
        admit(call, self._node)
        ids = self._node.machine.lessor.leases()
        statuses = [rpc_pb2.LeaseStatus(ID=lease_id) for lease_id in ids]
        call.reply(rpc_pb2.LeaseLeasesResponse(header=self._header(), leases=statuses))

    def _choose_id(self) -> int:
        """A positive id that is free, as far as this member knows."""
        while True:
            lease_id = self._node.random.getrandbits(_ID_BITS)
            if lease_id and not self._node.machine.lessor.has(lease_id):
                return lease_id

    def _header(self) -> rpc_pb2.ResponseHeader:
        return convert.header(self._node, self._node.machine.store.revision)


class _Renewal:
    """One keep-alive that is under way."""

    __slots__ = ("lease_id", "ttl_seconds")

    def __init__(self, lease_id: int) -> None:
        self.lease_id = lease_id
        self.ttl_seconds: int | None = None


class _KeepAlives:
    """One keep-alive stream: renewals run at once, their answers go out in order."""

    def __init__(self, node: Node, headers: Headers, keeper: LeaseKeeper, call: StreamCall) -> None:
        self._node = node
        self._headers = headers
        self._keeper = keeper
        self._call = call
        self._renewals: deque[_Renewal] = deque()
        self._is_half_closed = False
        call.on_request = self._on_request
        call.on_half_closed = self._on_half_closed

    def _on_request(self, request: rpc_pb2.LeaseKeepAliveRequest) -> None:
        if len(self._renewals) >= KEEP_ALIVES_MAX:
            raise TooManyRequestsError
        renewal = _Renewal(request.ID)
        self._renewals.append(renewal)

        def done(result: int | KvError) -> None:
            if isinstance(result, KvError):
                self._call.fail(result)
            else:
                renewal.ttl_seconds = result
                self._answer()

        self._keeper.renew(request.ID, done)

    def _answer(self) -> None:
        while self._renewals:
            lease_id, ttl_seconds = self._renewals[0].lease_id, self._renewals[0].ttl_seconds
            if ttl_seconds is None:
                break
            self._renewals.popleft()
            header = self._headers.field(self._node.machine.store.revision)
            response = rpc_pb2.LeaseKeepAliveResponse(ID=lease_id, TTL=ttl_seconds)
            self._call.send_all([(header, response.SerializeToString())])
        self._end_if_done()

    def _on_half_closed(self) -> None:
        self._is_half_closed = True
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._is_half_closed and not self._renewals:
            self._call.end()
