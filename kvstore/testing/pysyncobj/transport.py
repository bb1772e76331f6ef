"""PySyncObj's messages on the simulated network, by a transport that promises what TCP does.

One connection per pair, dialled by the member with the greater number, again and again, as
PySyncObj's own transport does; it is given up when nothing was read for the configured time, by
whoever then sends or reads, as there. On a connection messages arrive once and in order, or it
breaks: what the simulated network loses is sent again, by a kernel that outlives a pause of its
process. So PySyncObj sees delays where our own store, which sends frames, sees losses.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from pysyncobj.node import Node
from pysyncobj.pickle import dumps, loads
from pysyncobj.transport import Transport

from kvstore.testing.pysyncobj.moments import SEND, SENT
from kvstore.testing.simulation.network import Link, Network

_RESEND_SECONDS = 0.2  # Linux's shortest; it doubles with each loss of the same segment
_RESEND_SECONDS_MAX = 1.6
_DIAL = b"dial"
_ACCEPT = b"accept"


class Member(Node):  # type: ignore[misc]  # PySyncObj has no types
    """A member's address: its number. Its hash is the same in every process, so sets are too."""

    def __init__(self, number: int) -> None:
        super().__init__(f"m{number}")
        self.number = number

    def __hash__(self) -> int:
        return self.number


class Life(Protocol):
    """What a transport needs of the life that it belongs to."""

    def now(self) -> float:
        """Monotonic seconds."""

    def run(self, callback: Callable[[], None]) -> None:
        """Run PySyncObj's code, unless the life is over."""

    def arrived(self, callback: Callable[[], None]) -> None:
        """As `run`, with a tick behind it: something has come for PySyncObj."""

    def later(self, callback: Callable[[], None]) -> None:
        """As `run`, once the process may run."""

    def passes(self, moment: str) -> None:
        """It is about to pass a moment at which it may be made to die."""


class Wire:
    """What joins the transports of a cluster: the kernels' part of each connection."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.transports: dict[int, SimulatedTransport] = {}
        """Of the lives under way, by member."""
        self._connections = 0

    def next_connection(self) -> int:
        """A number that no connection has had."""
        self._connections += 1
        return self._connections


class _Connection:
    """One end of a connection."""

    def __init__(self, transport: "SimulatedTransport", peer: Member, number: int) -> None:
        self.peer = peer
        self.number = number
        self.is_open = True
        self.is_established = False
        self.read_at = transport.life.now()
        self._transport = transport
        self._network = transport.wire.network
        self._link: Link = (transport.number, peer.number)
        self._made = self._network.connections(self._link)
        self._sent = 0
        self._read = 0
        self._early: dict[int, bytes] = {}

    @property
    def is_replaced(self) -> bool:
        """Tell whether a fault has broken it."""
        return self._network.connections(self._link) != self._made

    def send(self, payload: bytes) -> None:
        """Behind all that was sent before."""
        position, self._sent = self._sent, self._sent + 1
        self._transmit(position, payload, _RESEND_SECONDS)

    def take(self, position: int, payload: bytes) -> None:
        """Something has arrived, perhaps before what was sent before it."""
        self._early[position] = payload

    def next_in_order(self) -> bytes | None:
        """What is to be read next, if it is there."""
        payload = self._early.pop(self._read, None)
        self._read += payload is not None
        return payload

    def _transmit(self, position: int, payload: bytes, seconds: float) -> None:
        if not self.is_open:
            return
        data = b"%d %d %b" % (self.number, position, payload)
        lose = partial(self._lost, position, payload, seconds)
        self._network.deliver(
            self._link, data, partial(self._arrive, position, payload, lose), lose
        )

    def _arrive(self, position: int, payload: bytes, lose: Callable[[], None]) -> None:
        receiver = self._transport.wire.transports.get(self.peer.number)
        if receiver is None:
            lose()  # nobody there who could even refuse
        elif not receiver.receive(self._transport.member, self.number, position, payload):
            back = (self._link[1], self._link[0])
            self._network.deliver(back, b"reset %d" % self.number, self.break_off, _nothing)

    def _lost(self, position: int, payload: bytes, seconds: float) -> None:
        if self.is_replaced:
            self.break_off()
            return
        again = min(2 * seconds, _RESEND_SECONDS_MAX)
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._transmit, position, payload, again)

    def break_off(self) -> None:
        """The other side, or a fault, has ended it."""
        self._transport.life.later(partial(self._transport.disconnect, self))


class SimulatedTransport(Transport):  # type: ignore[misc]
    """Of one life of one member."""

    def __init__(
        self, wire: Wire, life: Life, sync_obj: Any, member: Member, others: set[Member]
    ) -> None:
        super().__init__(sync_obj, member, others)
        self.wire = wire
        self.life = life
        self.member = member
        self.number = member.number
        self._others = sorted(others, key=lambda other: other.number)
        self._timeout_seconds: float = sync_obj.conf.connectionTimeout
        self._retry_seconds: float = sync_obj.conf.connectionRetryTime
        self._dialled_at: dict[int, float] = {}
        self._current: dict[int, _Connection] = {}  # by member
        self._by_number: dict[int, _Connection] = {}  # also those that were replaced
        wire.transports[self.number] = self
        sync_obj.addOnTickCallback(self._dial)

    def send(self, node: Member, message: Any) -> bool:
        """See PySyncObj's: False when there is no connection to send on."""
        connection = self._current.get(node.number)
        if connection is None or not connection.is_established:
            return False
        if self._is_silent(connection) or connection.is_replaced:
            self.disconnect(connection)
            return False
        self.life.passes(SEND)
        connection.send(dumps(message))
        self.life.passes(SENT)
        return True

    def abort(self) -> None:
        """Die: nothing goes out or comes in any more, and nobody is told."""
        for connection in self._by_number.values():
            connection.is_open = False
        if self.wire.transports.get(self.number) is self:
            del self.wire.transports[self.number]

    def receive(self, sender: Member, number: int, position: int, payload: bytes) -> bool:
        """Something has come for this process; False = on no connection of its."""
        connection = self._by_number.get(number)
        if connection is None:
            if payload != _DIAL or position:
                return False
            connection = self._by_number[number] = _Connection(self, sender, number)
        connection.take(position, payload)
        self.life.arrived(partial(self._read, connection))
        return True

    def disconnect(self, connection: _Connection) -> None:
        """End a connection, and let PySyncObj know unless it has a newer one."""
        if not connection.is_open:
            return
        connection.is_open = False
        del self._by_number[connection.number]
        if self._current.get(connection.peer.number) is connection:
            del self._current[connection.peer.number]
            self._onNodeDisconnected(connection.peer)
        self._tell_end(connection)

    def _tell_end(self, connection: _Connection) -> None:
        """To the other side's kernel, if that gets through; else it learns by and by."""
        other = self.wire.transports.get(connection.peer.number)
        end = other._by_number.get(connection.number) if other is not None else None
        if end is not None:
            link = (self.number, connection.peer.number)
            data = b"end %d" % connection.number
            self.wire.network.deliver(link, data, end.break_off, _nothing)

    def _dial(self) -> None:
        """Each tick: connect to whoever this member is to connect to."""
        now = self.life.now()
        for other in self._others:
            if other.number > self.number or other.number in self._current:
                continue
            if (
                now - self._dialled_at.get(other.number, -self._retry_seconds)
                >= self._retry_seconds
            ):
                self._dialled_at[other.number] = now
                connection = _Connection(self, other, self.wire.next_connection())
                self._current[other.number] = self._by_number[connection.number] = connection
                connection.send(_DIAL)

    def _read(self, connection: _Connection) -> None:
        if self._is_silent(connection):
            self.disconnect(connection)
            return
        connection.read_at = self.life.now()
        while connection.is_open and (payload := connection.next_in_order()) is not None:
            if payload in (_DIAL, _ACCEPT):
                self._establish(connection, is_dialled=payload == _DIAL)
            else:
                self._onMessageReceived(connection.peer, loads(payload))

    def _establish(self, connection: _Connection, *, is_dialled: bool) -> None:
        connection.is_established = True
        self._current[connection.peer.number] = connection
        if is_dialled:
            connection.send(_ACCEPT)
        self._onNodeConnected(connection.peer)

    def _is_silent(self, connection: _Connection) -> bool:
        return self.life.now() - connection.read_at > self._timeout_seconds


def _nothing() -> None:
    pass
