"""UDP datagrams of a place: a client's datagrams go to one endpoint for as long as they come.

A flow (one client, one endpoint, one socket) ends after a time without datagrams either way, or
when its endpoint is taken away: what comes then goes to another at once.

At a wildcard place a client gets its answers from the address that it asked: from another it would
not take them. So the flow remembers which one that was (ip(7), ipv6(7): IP_PKTINFO).
"""

import asyncio
import logging
import socket
import struct
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from controlplane.network.balancer import Balancer
from controlplane.network.plan import Endpoint, Place
from controlplane.network.sockets import Seams, bound, family_of

FLOW_SECONDS = 120.0  # without a datagram, as Linux keeps track of a UDP stream
FLOWS_MAX = 4096  # of one place: the one that was silent for longest goes first
DATAGRAMS_MAX = 64  # in one turn of the loop
DATAGRAM_BYTES_MAX = 65_535

logger = logging.getLogger(__name__)

_IP_PKTINFO = 8  # of Linux; Python's socket module does not name it
_IPV4_INFO = struct.Struct("=I4s4s")  # in_pktinfo: interface, our address, the one in the header
_INFO_BYTES = socket.CMSG_SPACE(32)  # of either family
_WANTED = {
    "0.0.0.0": (socket.IPPROTO_IP, _IP_PKTINFO),
    "::": (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}
"""What makes the kernel tell which address was asked, by the wildcard."""

_UNREACHABLE = (OSError, OverflowError, ValueError)
"""The latter two: a stranger wrote past validation what is no port, or no address."""

Address = tuple[Any, ...]
"""Of a client, as its family has it: IPv6 has a scope, too."""
Peer = tuple[Address, bytes]
"""A client, and the address that it asked, as the kernel has told it; nothing: there is but one."""


class _Flow:
    """Datagrams of one client."""

    __slots__ = ("endpoint", "last", "peer", "socket")

    def __init__(self, peer: Peer, endpoint: Endpoint, opened: socket.socket) -> None:
        self.peer = peer
        self.endpoint = endpoint
        self.socket = opened
        self.last = 0.0


class UdpListener:
    """An open place."""

    def __init__(self, place: Place, balancer: Balancer, seams: Seams) -> None:
        """Raises OSError when it cannot be listened on."""
        self._balancer = balancer
        self._seams = seams
        self._flows: OrderedDict[Peer, _Flow] = OrderedDict()
        """The one that was silent for longest is the first."""
        self._is_watched = False
        self._socket = bound(place, socket.SOCK_DGRAM)
        self._is_wildcard = place.address in _WANTED
        if self._is_wildcard:
            self._socket.setsockopt(*_WANTED[place.address], 1)
        self._is_closed = False
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._receive_all)

    @property
    def balancer(self) -> Balancer:
        """May be another at any time: flows to endpoints that it does not have end."""
        return self._balancer

    @balancer.setter
    def balancer(self, balancer: Balancer) -> None:
        self._balancer = balancer
        kept = frozenset(balancer.backend.endpoints)
        for flow in [one for one in self._flows.values() if one.endpoint not in kept]:
            self._end(flow)

    def close(self) -> None:
        """End all flows; without the place no answer could be sent."""
        if self._is_closed:
            return
        self._is_closed = True
        for flow in list(self._flows.values()):
            self._end(flow)
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _receive_all(self) -> None:
        for _ in range(DATAGRAMS_MAX):
            try:
                data, peer = self._receive()
            except OSError:  # nothing more is there; a fault of an answer is its flow's
                return
            flow = self._flows.get(peer) or self._begin(peer)
            if flow is not None:
                self._send(flow, data)

    def _receive(self) -> tuple[bytes, Peer]:
        if not self._is_wildcard:
            data, client = self._socket.recvfrom(DATAGRAM_BYTES_MAX)
            return data, (client, b"")
        data, told, _, client = self._socket.recvmsg(DATAGRAM_BYTES_MAX, _INFO_BYTES)
        return data, (client, _asked(told))

    def _send_back(self, peer: Peer, data: bytes) -> None:
        client, asked = peer
        if not asked:
            self._socket.sendto(data, client)
            return
        is_ipv4 = self._socket.family == socket.AF_INET
        kind = _IP_PKTINFO if is_ipv4 else socket.IPV6_PKTINFO
        level = socket.IPPROTO_IP if is_ipv4 else socket.IPPROTO_IPV6
        self._socket.sendmsg([data], [(level, kind, asked)], 0, client)

    def _send(self, flow: _Flow, data: bytes) -> None:
        """A datagram that the kernel does not take is lost, as any may be."""
        self._touch(flow)
        try:
            flow.socket.send(data)
        except BlockingIOError:
            pass
        except OSError as error:
            self._failed(flow, error)

    def _answer_all(self, flow: _Flow) -> None:
        for _ in range(DATAGRAMS_MAX):
            try:
                data = flow.socket.recv(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError as error:
                self._failed(flow, error)
                return
            self._touch(flow)
            try:
                self._send_back(flow.peer, data)
            except OSError as error:
                logger.debug("an answer to %s is lost: %s", flow.peer[0][0], error)

    def _failed(self, flow: _Flow, error: OSError) -> None:
        """Nobody listens there, as the kernel was told: what comes next goes elsewhere."""
        logger.debug("%s:%d does not answer: %r", *flow.endpoint, error)
        self._end(flow)

    def _touch(self, flow: _Flow) -> None:
        flow.last = self._seams.clock.now()
        self._flows.move_to_end(flow.peer)

    def _begin(self, peer: Peer) -> _Flow | None:
        client, _ = peer
        if not self._balancer.is_let_in(client[0]):
            return None
        endpoint = self._balancer.choose(client[0], self._seams.clock.now())
        if endpoint is None or self._seams.is_own(endpoint, "UDP") or not self._make_room():
            return None
        try:
            opened = _connected(endpoint)
        except BaseException as error:
            self._seams.descriptors.give(1)
            if not isinstance(error, _UNREACHABLE):
                raise
            logger.debug("%s:%d cannot be reached: %r", *endpoint, error)
            return None
        flow = self._flows[peer] = _Flow(peer, endpoint, opened)
        loop = asyncio.get_running_loop()
        loop.add_reader(opened.fileno(), self._answer_all, flow)
        self._watch()
        return flow

    def _make_room(self) -> bool:
        """Take a descriptor, of the flow that was silent for longest if there is no other."""
        if len(self._flows) >= FLOWS_MAX:
            self._end(next(iter(self._flows.values())))
        if self._seams.descriptors.take(1, len(self._flows)):
            return True
        if self._flows:
            self._end(next(iter(self._flows.values())))
        return self._seams.descriptors.take(1)

    def _end(self, flow: _Flow) -> None:
        if self._flows.get(flow.peer) is flow:
            del self._flows[flow.peer]
            asyncio.get_running_loop().remove_reader(flow.socket.fileno())
            flow.socket.close()
            self._seams.descriptors.give(1)

    def _watch(self) -> None:
        """Look again when the first may have been silent for too long; one timer for all."""
        if self._flows and not self._is_watched and not self._is_closed:
            self._is_watched = True
            first = next(iter(self._flows.values()))
            wait = first.last + FLOW_SECONDS - self._seams.clock.now()
            self._seams.clock.call_later(max(wait, 0.0), self._end_silent)

    def _end_silent(self) -> None:
        self._is_watched = False
        silent_since = self._seams.clock.now() - FLOW_SECONDS
        while self._flows:
            first = next(iter(self._flows.values()))
            if first.last > silent_since:
                break
            self._end(first)
        self._watch()


def _connected(endpoint: Endpoint) -> socket.socket:
    """Raises one of _UNREACHABLE."""
    opened = socket.socket(family_of(endpoint.address), socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.connect(endpoint)
    except BaseException:
        opened.close()
        raise
    return opened


def _asked(told: Sequence[tuple[int, int, bytes]]) -> bytes:
    """What an answer has to say to come from the address that was asked. Pure."""
    for level, kind, data in told:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, ours, _ = _IPV4_INFO.unpack(data)
            return _IPV4_INFO.pack(0, ours, bytes(4))
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return data
    return b""
