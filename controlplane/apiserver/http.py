"""aiohttp: the only module that knows it. Requests come in, answers and streams go out.

A watch writes chunks that are framed already straight to the transport, so an event is framed once
for all watchers; aiohttp's own encoder would do it for each.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web
from multidict import CIMultiDictProxy

from controlplane.api import errors
from controlplane.apiserver.call import Outgoing, Streaming
from controlplane.apiserver.incoming import BODY_BYTES_MAX, Answer, Incoming, Query

Serve = Callable[[Incoming], Awaitable[Outgoing]]

_BODY_METHODS = frozenset(("POST", "PUT", "PATCH", "DELETE"))
_SHORT_NAMES = {"commonName": "CN", "organizationName": "O"}
_LAST_CHUNK = b"0\r\n\r\n"


class HttpServer:
    """Serves until `close`.

    tls: None serves plain HTTP, where nobody can show who he is.
    """

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None) -> None:
        self._serve = serve
        self._tls = tls
        self._runner: web.ServerRunner | None = None
        self._sites: list[web.TCPSite] = []
        self._streams: set[asyncio.Task[object]] = set()
        self._serving: set[asyncio.Future[Outgoing]] = set()

    async def listen(self, host: str, port: int) -> int:
        """Begin to serve; the port, which the kernel chose if it was 0."""
        server = web.Server(
            self._handle, access_log=None, keepalive_timeout=300.0, handler_cancellation=True
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=5.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=self._tls)
        await site.start()
        self._sites.append(site)
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening; requests under way have some seconds, streams end at once."""
        for stream in self._streams:
            stream.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            incoming = await _incoming(request)
        except errors.ApiError as error:
            return _refusal(error)
        # A stream ends with its client; a write that is under way goes on without it.
        serving = asyncio.ensure_future(self._serve(incoming))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        outgoing = await asyncio.shield(serving)
        if isinstance(outgoing, Streaming):
            return await self._stream(request, outgoing)
        response = web.Response(
            status=outgoing.code, body=outgoing.body, content_type=outgoing.content_type
        )
        for name, value in outgoing.headers:
            response.headers.add(name, value)
        return response

    async def _stream(self, request: web.BaseRequest, streaming: Streaming) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": streaming.content_type})
        response.enable_chunked_encoding()
        await response.prepare(request)
        sink = _TransportSink(request)
        stream = asyncio.current_task()
        assert stream is not None
        self._streams.add(stream)
        try:
            await streaming.run(sink)
        finally:
            self._streams.discard(stream)
            sink.finish()
        return response


class _TransportSink:
    """Writes chunks past aiohttp's encoder. Who has gone is noticed by the transport."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._transport = request.transport
        self._protocol = request.protocol
        self._is_finished = False

    def write(self, chunk: bytes) -> None:
        """Send a framed chunk."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(chunk)

    @property
    def buffered(self) -> int:
        """Bytes that the client has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is lost; whoever runs the stream is cancelled then."""
        return self._transport is None or self._transport.is_closing()

    def finish(self) -> None:
        """The end of a stream that came to its end."""
        if not self._is_finished:
            self._is_finished = True
            self.write(_LAST_CHUNK)
            if self._transport is not None:
                self._transport.close()


async def _incoming(request: web.BaseRequest) -> Incoming:
    body = b""
    if request.method in _BODY_METHODS:
        body = await _body(request)
    return Incoming(
        method=request.method,
        path=request.rel_url.raw_path,
        query=Query(request.rel_url.raw_query_string),
        headers=_headers(request.headers),
        body=body,
        certificate=_subject(request),
        remote=request.remote or "",
    )


async def _body(request: web.BaseRequest) -> bytes:
    length = request.content_length
    if length is not None and length > BODY_BYTES_MAX:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise _too_large()
        parts.append(part)
    return b"".join(parts)


def _too_large() -> errors.ApiError:
    return errors.too_large(f"Request entity too large: limit is {BODY_BYTES_MAX}")


def _headers(headers: "CIMultiDictProxy[str]") -> Mapping[str, str]:
    r"""Names in lower case; values of a repeated one are joined by line feeds, which none holds.

    Bytes that are no UTF-8 become `\N{REPLACEMENT CHARACTER}`: whatever is told of a request, in a
    log or a Status, must be text.
    """
    found: dict[str, str] = {}
    for spelled, raw in headers.items():
        name, value = spelled.lower(), raw
        if not raw.isascii():
            value = raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def _subject(request: web.BaseRequest) -> Sequence[tuple[str, str]]:
    """Subject of the client's certificate, which TLS has verified."""
    certificate = request.get_extra_info("peercert")
    if not certificate:
        return ()
    return [
        (_SHORT_NAMES.get(name, name), value)
        for part in certificate.get("subject", ())
        for name, value in part
    ]


def _refusal(error: errors.ApiError) -> web.Response:
    answer = Answer.of_error(error)
    return web.Response(status=answer.code, body=answer.body, content_type=answer.content_type)
