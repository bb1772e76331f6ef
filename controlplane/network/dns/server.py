"""The cluster's DNS server: UDP and TCP at one address.

Names of the cluster are answered at once; others are passed on (`forwarder.py`). Where it cannot
listen it says so, tries again, and the rest of the process goes on.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

import msgspec

from controlplane.api.types.core_v1 import Service
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.indexer import Key
from controlplane.network.dns.forwarder import Forwarder, NoAnswerError
from controlplane.network.dns.messages import (
    AAAA,
    AXFR,
    BADVERS,
    CNAME,
    FORMERR,
    IN,
    MESSAGE_BYTES_MAX,
    NOERROR,
    NOTIMP,
    REFUSED,
    SERVFAIL,
    A,
    Answer,
    BadMessageError,
    Name,
    Query,
    Record,
    id_of,
    is_truncated,
    read_answers,
    read_query,
    write_answer,
    write_error,
    write_query,
)
from controlplane.network.dns.records import records_of, service_name
from controlplane.network.dns.zone import Zone, leads_out
from controlplane.network.plan import Place
from controlplane.network.sockets import bound, retry_seconds, why
from kvstore.seams import Clock, Random

PORT = 53
CONNECTIONS_MAX = 128
IDLE_SECONDS_MAX = 10.0  # of a connection, between questions

logger = logging.getLogger(__name__)

Reply = bytes | Coroutine[Any, Any, bytes] | None
"""An answer, one that has to be waited for, or none: what came asks nothing."""


class Resolver:
    """Answers queries from a zone, and from others where it knows nothing.

    is_current  whether it was told of all services. Until then it denies no name of the cluster:
                clients believe a denial at once, but ask again who has failed
    """

    def __init__(self, zone: Zone, forwarder: Forwarder, dice: Random) -> None:
        self.is_current = False
        self._zone = zone
        self._forwarder = forwarder
        self._dice = dice

    def on_service(
        self, key: Key, service: Service | None, slices: Sequence[EndpointSlice]
    ) -> None:
        """A service as it is now; None: it is gone."""
        if service is None:
            self._zone.remove(key)
            return
        zone = self._zone.name
        self._zone.put(key, service_name(service, zone), records_of(service, slices, zone))

    def reply(self, data: bytes, *, by_tcp: bool) -> Reply:
        """What to send back."""
        number = id_of(data)
        if number is None:
            return None
        try:
            query = read_query(data)
        except BadMessageError:
            return write_error(number, FORMERR)
        bytes_max = MESSAGE_BYTES_MAX if by_tcp else query.udp_bytes
        refusal = _refusal(query)
        if refusal != NOERROR:
            return write_answer(query, Answer(rcode=refusal, is_authoritative=False), bytes_max)
        answer = self._zone.find(query.name, query.type)
        if answer is None:
            return self._forwarded(data, query, by_tcp=by_tcp)
        if not self.is_current and (answer.rcode != NOERROR or not answer.answers):
            return write_answer(query, Answer(rcode=SERVFAIL, is_authoritative=False), bytes_max)
        target = leads_out(answer, self._zone)
        if target is not None and query.type in (A, AAAA):
            return self._followed(query, answer, target, bytes_max)
        turned = _turned(answer.answers, self._dice)
        return write_answer(query, msgspec.structs.replace(answer, answers=turned), bytes_max)

    async def _forwarded(self, data: bytes, query: Query, *, by_tcp: bool) -> bytes:
        if not self._forwarder.upstreams:
            rcode = REFUSED
        else:
            try:
                return await self._forwarder.ask(data, by_tcp=by_tcp)
            except NoAnswerError as error:
                logger.debug("DNS: %s", error)
                rcode = SERVFAIL
        return write_answer(query, Answer(rcode=rcode, is_authoritative=False), MESSAGE_BYTES_MAX)

    async def _followed(self, query: Query, answer: Answer, target: Name, bytes_max: int) -> bytes:
        """An alias out of the cluster, with what it leads to: resolvers of programs do not follow
        one themselves (5.5, ExternalName).
        """
        asked = Query(id=0, is_recursion_wanted=True, name=target, type=query.type)
        rcode = SERVFAIL if self._forwarder.upstreams else NOERROR
        answers = list(answer.answers)
        try:
            found = await self._forwarder.ask(write_query(asked), by_tcp=False)
            if is_truncated(found):
                found = await self._forwarder.ask(write_query(asked), by_tcp=True)
            rcode, led = read_answers(found, frozenset((A, AAAA, CNAME)))
            answers += led
        except (NoAnswerError, BadMessageError) as error:
            logger.debug("DNS: %s", error)
        return write_answer(query, Answer(rcode=rcode, answers=answers), bytes_max)


def _refusal(query: Query) -> int:
    """The rcode of what is not done at all; NOERROR: it is."""
    if query.opcode:
        return NOTIMP
    if query.version:  # EDNS has the versions None (it is not spoken) and 0 so far
        return BADVERS
    return REFUSED if query.klass != IN or query.type == AXFR else NOERROR


def _turned(records: Sequence[Record], dice: Random) -> Sequence[Record]:
    """Clients take the first, so each shall be first as often."""
    if len(records) < 2 or any(one.type == CNAME for one in records):
        return records  # an alias comes before what it leads to
    first = dice.randrange(0, len(records))
    return [*records[first:], *records[:first]]


class DnsServer:
    """Listens at an address."""

    def __init__(
        self,
        resolver: Resolver,
        clock: Clock,
        tell: Callable[[str], None],
        *,
        address: str,
        port: int = PORT,
    ) -> None:
        """tell  is told once when it cannot listen, and why"""
        self._resolver = resolver
        self._clock = clock
        self._tell = tell
        self._address, self._port = address, port
        self._connections = 0
        self.is_listening = False

    async def run(self) -> None:
        """Serve until cancelled."""
        tries = 0
        while True:
            try:
                udp, tcp = self._open()
            except OSError as error:
                if tries == 0:
                    place = Place(self._address, self._port, "UDP")
                    self._tell(f"{place.address}:{place.port}: {why(place, error)}")
                await self._clock.sleep(retry_seconds(tries))
                tries += 1
                continue
            logger.info("DNS listens on %s:%d", self._address, udp.getsockname()[1])
            await self._serve(udp, tcp)

    def _open(self) -> tuple[socket.socket, socket.socket]:
        """Both, or none. Raises OSError."""
        udp = bound(Place(self._address, self._port, "UDP"), socket.SOCK_DGRAM)
        try:
            # The same port of both, also where any will do.
            port = udp.getsockname()[1]
            return udp, bound(Place(self._address, port, "TCP"), socket.SOCK_STREAM)
        except BaseException:
            udp.close()
            raise

    async def _serve(self, udp: socket.socket, tcp: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as replies:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self._resolver, replies), sock=udp
            )
            server = await asyncio.start_server(self._converse, sock=tcp)
            self.is_listening = True
            try:
                await server.serve_forever()
            finally:
                self.is_listening = False
                server.close()
                transport.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection: a question after the other (RFC 7766)."""
        self._connections += 1
        try:
            while self._connections <= CONNECTIONS_MAX:
                async with asyncio.timeout(IDLE_SECONDS_MAX):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    reply = self._resolver.reply(await reader.readexactly(size), by_tcp=True)
                if reply is None:
                    return
                data = reply if isinstance(reply, bytes) else await reply
                writer.write(len(data).to_bytes(2, "big") + data)
                async with asyncio.timeout(IDLE_SECONDS_MAX):
                    await writer.drain()
        except (OSError, EOFError):  # it went, or was silent for too long
            pass
        finally:
            self._connections -= 1
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    """UDP: one datagram, one answer."""

    def __init__(self, resolver: Resolver, replies: asyncio.TaskGroup) -> None:
        self._resolver = resolver
        self._replies = replies
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is none by type

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        reply = self._resolver.reply(data, by_tcp=False)
        if isinstance(reply, bytes):
            self._send(reply, addr)
        elif reply is not None:
            self._replies.create_task(self._send_later(reply, addr))

    async def _send_later(self, reply: Coroutine[Any, Any, bytes], addr: tuple[Any, ...]) -> None:
        try:
            self._send(await reply, addr)
        except Exception:  # the task group is everybody's: one question must not end it
            logger.exception("a question of %s was not answered", addr[0])

    def _send(self, reply: bytes, addr: tuple[Any, ...]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(reply, addr)
