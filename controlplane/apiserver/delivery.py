"""Answers and streams on their way to a client, which takes them as fast as it likes.

Nothing large is written ahead: the next part is made when the client has taken the one before, and
who takes nothing for too long is let go.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain

from aiohttp import HttpVersion11, web

from controlplane.apiserver.call import CutError, StalledError, Streaming, Upgrading
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.negotiation import YAML
from controlplane.peers import notice_dead_peer, until_taken
from controlplane.upgrades import TakenOver, switching, taken_over

ANSWER_SECONDS_MAX = 60.0  # 2.23: to take an answer; so long it keeps its seat
STALLED_SECONDS_MAX = 60.0
"""So long a watch waits for its client to take the last WRITE_BYTES_MAX."""
SLICE_BYTES = 64 * 1024

_LAST_CHUNK = b"0\r\n\r\n"


class Delivery:
    """The answer to one request. on_stalled: hears of a client that has taken too long."""

    def __init__(self, request: web.BaseRequest, on_stalled: Callable[[], None]) -> None:
        self._request = request
        self._on_stalled = on_stalled
        self.response: web.StreamResponse | None = None
        """What has been sent, perhaps in part."""

    async def send(self, answer: Answer) -> None:
        """Return when its client has it, or is gone."""
        if self.response is not None:
            self._abort()  # what has left already cannot be taken back
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await self._write(answer)
        except TimeoutError:
            self._on_stalled()
            self._abort()
        except ConnectionError:
            pass  # nobody is there any more

    async def stream(self, streaming: Streaming) -> None:
        """Until it ends, its client is gone, or has taken nothing for too long."""
        self.response = _with_headers(web.StreamResponse(), streaming)
        sink = _TransportSink(self._request, streaming.stalled_seconds_max)
        transport = self._request.transport
        may_pause = streaming.stalled_seconds_max is not None
        try:
            if may_pause and transport is not None:
                notice_dead_peer(transport.get_extra_info("socket"), may_pause=True)
            await self.response.prepare(self._request)
            await streaming.run(sink)
            if may_pause:
                sink.end()
                await until_taken(transport)
        except StalledError:
            self._on_stalled()
            self._abort()
        except CutError:
            self._abort()
        except ConnectionError:
            pass
        finally:
            streaming.release()
            sink.finish()

    async def upgrade(self, upgrading: Upgrading) -> None:
        """Until whoever speaks the other protocol is done, or its client is gone."""
        self.response = TakenOver()
        try:
            async with taken_over(self._request) as connection:
                connection[1].write(switching(upgrading.headers))
                await upgrading.run(connection)
        except ConnectionError:
            pass
        finally:
            upgrading.release()

    async def _write(self, answer: Answer) -> None:
        request, is_head = self._request, self._request.method == "HEAD"
        is_small = answer.rest is None and (is_head or len(answer.body) <= SLICE_BYTES)
        if is_small:
            self.response = _with_headers(web.Response(body=answer.body), answer)
            await self.response.prepare(request)
            await self.response.write_eof()
            return
        slices = Slices(answer)
        first = await slices.next()  # an error is told while it can be
        self.response = response = _with_headers(web.StreamResponse(), answer)
        if answer.rest is None:
            response.content_length = len(answer.body)
        await response.prepare(request)
        part = None if is_head else first
        while part is not None:
            await response.write(part)
            await request.writer.drain()
            await asyncio.sleep(0)  # to make the next part is work: others first
            part = await slices.next()
        await response.write_eof()

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


def _with_headers(response: web.StreamResponse, answer: Answer | Streaming) -> web.StreamResponse:
    if isinstance(answer, Answer):
        response.set_status(answer.code)
    response.headers["Content-Type"] = answer.content_type
    for name, value in answer.headers:
        response.headers.add(name, value)
    return response


class Slices:
    """An answer in pieces of about SLICE_BYTES, each made when it is asked for."""

    def __init__(self, answer: Answer) -> None:
        self._slices = _slices(chain((answer.body,), answer.rest or ()))
        # One object alone may be a second of work: Python writes YAML, and one thing at a time.
        self._is_slow = answer.rest is not None and answer.content_type == YAML

    async def next(self) -> bytes | memoryview | None:
        """None: it was the last. Raises what its maker does."""
        if self._is_slow:
            return await asyncio.to_thread(next, self._slices, None)
        return next(self._slices, None)


def _slices(parts: Iterator[bytes]) -> Iterator[bytes | memoryview]:
    """The same bytes in pieces of about SLICE_BYTES."""
    gathered: list[bytes] = []
    size = 0
    for part in parts:
        if len(part) >= SLICE_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
            view = memoryview(part)
            yield from (view[at : at + SLICE_BYTES] for at in range(0, len(part), SLICE_BYTES))
            continue
        gathered.append(part)
        size += len(part)
        if size >= SLICE_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


class _TransportSink:
    """Writes chunks past aiohttp's encoder. Who has gone is noticed by the transport."""

    def __init__(self, request: web.BaseRequest, stalled_seconds_max: float | None) -> None:
        self._transport = request.transport
        self._stalled_seconds_max = stalled_seconds_max or STALLED_SECONDS_MAX
        self._protocol = request.protocol
        self._writer = request.writer
        # Chunks are HTTP/1.1's: who speaks 1.0 gets what is in them, until the connection closes.
        self._has_chunks = request.version >= HttpVersion11
        self._has_ended = False

    def write(self, chunks: bytes) -> None:
        """Send framed chunks."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(chunks if self._has_chunks else _unframed(chunks))

    @property
    def is_writable(self) -> bool:
        """Whether its client has taken what was written, but for WRITE_BYTES_MAX."""
        return not self._protocol.writing_paused

    async def drained(self) -> None:
        """Wait until it is writable; others have a turn. Raises StalledError."""
        if self.is_writable:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(self._stalled_seconds_max):
                await self._writer.drain()
        except TimeoutError:
            raise StalledError from None

    @property
    def is_closed(self) -> bool:
        """Whether the connection is lost; whoever runs the stream is cancelled then."""
        return self._transport is None or self._transport.is_closing()

    def end(self) -> None:
        """Say that it came to its end."""
        if not self._has_ended:
            self._has_ended = True
            if self._has_chunks:
                self.write(_LAST_CHUNK)

    def finish(self) -> None:
        """… and close the connection."""
        self.end()
        if self._transport is not None:
            self._transport.close()


def _unframed(chunks: bytes) -> bytes:
    """What is in chunks (RFC 9112, 7.1)."""
    parts: list[bytes] = []
    at = 0
    while at < len(chunks):
        start = chunks.index(b"\r\n", at) + 2
        end = start + int(chunks[at:start], 16)
        parts.append(chunks[start:end])
        at = end + 2
    return b"".join(parts)
