"""TCP connections of a place: each is accepted, an endpoint is found that takes it, and bytes go
both ways until both sides have ended.

What was connected lives on, whatever happens to the place or to the endpoint's readiness; who
connects now goes by what is known now. An endpoint that refuses, as one does that has just ended,
is passed over for another, and the client hears nothing of it.
"""

import asyncio
import errno
import logging
import socket

from controlplane.network.balancer import Balancer
from controlplane.network.plan import Endpoint, Place
from controlplane.network.sockets import Seams, bound, family_of
from controlplane.network.tunnel import exchange, reset_when_closed

BACKLOG = 1024
ACCEPTS_MAX = 64  # in one turn of the loop: other listeners have theirs
TRIES_MAX = 4  # endpoints that one connection asks
CONNECT_SECONDS_MAX = 2.0  # of one endpoint: whoever is there answers sooner
PER_CONNECTION = 2  # descriptors
BROKEN_SECONDS = 1.0  # without accepting, when the kernel has nothing to accept with

_PASSING = (errno.ECONNABORTED, errno.EINTR, errno.EPROTO)

logger = logging.getLogger(__name__)


class TcpListener:
    """An open place. `balancer` may be another at any time."""

    def __init__(self, place: Place, balancer: Balancer, seams: Seams) -> None:
        """Raises OSError when it cannot be listened on."""
        self.balancer = balancer
        self._seams = seams
        self._socket = bound(place, socket.SOCK_STREAM)
        try:
            self._socket.listen(BACKLOG)
        except BaseException:
            self._socket.close()
            raise
        self._is_closed = False
        self._held = 0
        """Descriptors of its connections."""
        self._listen()

    def close(self) -> None:
        """Accept nothing more; connections stay."""
        if not self._is_closed:
            self._is_closed = True
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()

    def _listen(self) -> None:
        if not self._is_closed:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._socket.fileno(), self._accept_all)

    def _pause(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def _accept_all(self) -> None:
        """Whoever finds no descriptor free stays in the backlog, which is bounded."""
        for _ in range(ACCEPTS_MAX):
            if not self._seams.descriptors.take(PER_CONNECTION, self._held):
                self._pause()
                self._seams.descriptors.when_free(self._listen)
                return
            try:
                client, address = self._socket.accept()
            except OSError as error:
                self._seams.descriptors.give(PER_CONNECTION)
                self._not_accepted(error)
                return
            client.setblocking(False)
            self._held += PER_CONNECTION
            self._seams.spawn(self._serve(client, address[0]))

    def _not_accepted(self, error: OSError) -> None:
        if isinstance(error, BlockingIOError) or error.errno in _PASSING:
            return  # nobody is there, or whoever was has left again
        logger.warning("cannot accept: %s", error.strerror)
        self._pause()
        self._seams.clock.call_later(BROKEN_SECONDS, self._listen)

    async def _serve(self, client: socket.socket, address: str) -> None:
        """One connection. It ends with both sides closed, however it ends."""
        server: socket.socket | None = None
        try:
            if self.balancer.is_let_in(address):
                server = await self._connect(address)
            if server is None:
                reset_when_closed(client)
            else:
                await exchange(client, server)
        except* OSError as lost:
            logger.debug("a connection of %s was lost: %s", address, lost.exceptions)
        except* Exception:  # the task group is everybody's: one connection must not end it
            logger.exception("a connection of %s failed", address)
        finally:
            client.close()
            if server is not None:
                server.close()
            self._held -= PER_CONNECTION
            self._seams.descriptors.give(PER_CONNECTION)

    async def _connect(self, client: str) -> socket.socket | None:
        """To an endpoint that takes the connection; None: none of those that were asked does."""
        tried: list[Endpoint] = []
        while len(tried) < TRIES_MAX:
            endpoint = self.balancer.choose(client, self._seams.clock.now(), tried)
            if endpoint is None:
                return None
            if self._seams.is_own(endpoint, "TCP"):
                tried.append(endpoint)
                continue
            try:
                return await _connected(endpoint)
            except OSError as error:  # TimeoutError is one
                logger.debug("%s:%d does not answer: %r", *endpoint, error)
                tried.append(endpoint)
        return None


async def _connected(endpoint: Endpoint) -> socket.socket:
    """Raises OSError, also when it takes too long."""
    opened = socket.socket(family_of(endpoint.address), socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            await asyncio.get_running_loop().sock_connect(opened, endpoint)
    except BaseException:
        opened.close()
        raise
    return opened
