"""Questions about names that are not the cluster's, passed on to the machine's resolvers.

Each question has a socket of its own, so a port and an id that nobody can guess (RFC 5452); what
comes back counts only when it is from whom it was asked of, and answers what was asked.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Sequence

from controlplane.network.dns.messages import MESSAGE_BYTES_MAX
from controlplane.network.sockets import family_of
from kvstore.seams import Random

IN_FLIGHT_MAX = 256  # questions at once; more are refused, and their clients come again
TRY_SECONDS = 2.0  # of one resolver
TRIES = 2  # of all resolvers, one after the other
SECONDS_MAX = 4.5  # of one question: clients wait for 5 s, and ask again
PORT = 53

_HEADER_BYTES = 12

logger = logging.getLogger(__name__)


class NoAnswerError(Exception):
    """No resolver answers, or too many questions wait."""


class Forwarder:
    """Asks `upstreams`, in their order."""

    def __init__(
        self,
        upstreams: Sequence[str],
        dice: Random,
        *,
        port: int = PORT,
        try_seconds: float = TRY_SECONDS,
    ) -> None:
        """upstreams  addresses; none: nobody is asked
        dice       that nobody can guess
        """
        self.upstreams = tuple(upstreams)
        self._dice = dice
        self._port = port
        self._try_seconds = try_seconds
        self._in_flight = 0

    async def ask(self, query: bytes, *, by_tcp: bool) -> bytes:
        """The answer to a query, with its id. Raises NoAnswerError."""
        if self._in_flight >= IN_FLIGHT_MAX:
            raise NoAnswerError(f"{IN_FLIGHT_MAX} questions wait already")
        self._in_flight += 1
        try:
            async with asyncio.timeout(SECONDS_MAX):
                for upstream in self.upstreams * TRIES:
                    answer = await self._ask(upstream, query, by_tcp)
                    if answer is not None:
                        return query[:2] + answer[2:]
        except TimeoutError:
            pass  # those that were not asked would answer nobody any more
        finally:
            self._in_flight -= 1
        raise NoAnswerError(f"no answer from {', '.join(self.upstreams) or 'nobody'}")

    async def _ask(self, upstream: str, query: bytes, by_tcp: bool) -> bytes | None:
        asked = self._dice.getrandbits(16).to_bytes(2, "big") + query[2:]
        kind = socket.SOCK_STREAM if by_tcp else socket.SOCK_DGRAM
        try:
            with socket.socket(family_of(upstream), kind) as opened:
                opened.setblocking(False)
                async with asyncio.timeout(self._try_seconds):
                    await asyncio.get_running_loop().sock_connect(opened, (upstream, self._port))
                    return await (_by_tcp if by_tcp else _by_udp)(opened, asked)
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            logger.debug("%s does not answer: %r", upstream, error)
            return None


async def _by_udp(opened: socket.socket, asked: bytes) -> bytes:
    """A connected socket takes datagrams of whom it asked only."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(opened, asked)
    while True:
        answer = await loop.sock_recv(opened, MESSAGE_BYTES_MAX)
        if is_answer(answer, asked):
            return answer


async def _by_tcp(opened: socket.socket, asked: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(opened, struct.pack(">H", len(asked)) + asked)
    (size,) = struct.unpack(">H", await _exactly(opened, 2))
    answer = await _exactly(opened, size)
    if not is_answer(answer, asked):
        raise EOFError("an answer to another question")
    return answer


async def _exactly(opened: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = await asyncio.get_running_loop().sock_recv(opened, count - len(found))
        if not more:
            raise EOFError("it ends too early")
        found += more
    return found


def is_answer(answer: bytes, asked: bytes) -> bool:
    """Whether it answers what was asked: id, and the question if it is repeated. Pure."""
    if len(answer) < _HEADER_BYTES or answer[:2] != asked[:2] or not answer[2] & 0x80:
        return False
    if answer[4:6] == b"\0\0":  # as of who refuses without having read it
        return True
    question = asked[_HEADER_BYTES : question_end(asked)].lower()
    return answer[_HEADER_BYTES : _HEADER_BYTES + len(question)].lower() == question


def question_end(asked: bytes) -> int:
    """Where the question of a query ends that was read already. Pure."""
    place = _HEADER_BYTES
    while place < len(asked) and asked[place]:
        place += asked[place] + 1
    return place + 5
