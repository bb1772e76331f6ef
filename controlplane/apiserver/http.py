"""The HTTP front: requests come in, answers and streams go out.

Beside `connections` and `delivery` the only module that knows aiohttp. A request is served when
its head has come; its body is read when whoever serves it asks for it.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import HttpVersion11, web
from multidict import CIMultiDictProxy

from controlplane.api import errors
from controlplane.apiserver.call import Deliver, Outgoing, Streaming, Upgrading
from controlplane.apiserver.connections import Connections
from controlplane.apiserver.delivery import Delivery
from controlplane.apiserver.incoming import BODY_BYTES_MAX, Answer, Incoming, Query, Receive
from controlplane.apiserver.listening import Listener
from controlplane.apiserver.metrics import Metrics

Serve = Callable[[Incoming, Deliver], Awaitable[Outgoing]]

BODY_SECONDS_MAX = 60.0  # 2.23: for a whole body to come
_BODY_METHODS = frozenset(("POST", "PUT", "PATCH", "DELETE"))
_SHORT_NAMES = {"commonName": "CN", "organizationName": "O"}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STALLED = "apiserver_stalled_clients_total"


class HttpServer:
    """Serves until `close`.

    tls: None serves plain HTTP, where nobody can show who he is.
    """

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None, metrics: Metrics) -> None:
        self._serve = serve
        self._tls = tls
        self._metrics = metrics
        self._runner: web.ServerRunner | None = None
        self._connections: Connections | None = None
        self._listener: Listener | None = None
        self._streams: set[asyncio.Task[object]] = set()
        self._serving: set[asyncio.Future[Outgoing]] = set()
        self._note_stalled(0)

    async def listen(self, host: str, port: int) -> int:
        """Begin to serve; the port, which the kernel chose if it was 0. Raises OSError."""
        self._connections = Connections(self._handle)
        self._measure(self._connections)
        self._runner = web.ServerRunner(self._connections, shutdown_timeout=5.0)
        await self._runner.setup()
        self._listener = Listener(self._connections, self._tls)
        return self._listener.listen(host, port)

    async def close(self) -> None:
        """Stop listening; requests under way have some seconds, streams end at once."""
        for stream in self._streams:
            stream.cancel()
        if self._listener is not None:
            await self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _measure(self, connections: Connections) -> None:
        gauge = self._metrics.gauge
        gauge("apiserver_connections", "Connections of clients.", lambda: {(): connections.count})
        gauge(
            "apiserver_refused_connections",
            "Connections that were too many, so far.",
            lambda: {(): connections.refused},
        )
        gauge(
            "apiserver_unsent_bytes",
            "Bytes that were written and not taken by their clients yet.",
            lambda: {(): connections.buffered_bytes},
        )
        gauge(
            "apiserver_longrunning_requests",
            "Watches, logs, commands and forwarded ports under way.",
            lambda: {(): len(self._streams)},
        )

    def _note_stalled(self, by: int = 1) -> None:
        told = "Clients that were cut since they took nothing of an answer or a watch for too long."
        self._metrics.count(_STALLED, told, by)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        delivery = Delivery(request, self._note_stalled)
        try:
            incoming = _incoming(request)
        except errors.ApiError as error:
            await delivery.send(Answer.of_error(error))
        else:
            # A stream ends with its client; a write that is under way goes on without it.
            serving = asyncio.ensure_future(self._serve(incoming, delivery.send))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)
            try:
                outgoing = await asyncio.shield(serving)
            except asyncio.CancelledError:
                serving.add_done_callback(_release)
                raise
            if not isinstance(outgoing, Answer):
                await self._stream(delivery, outgoing)
        assert delivery.response is not None, "whatever is served is answered"
        return delivery.response

    async def _stream(self, delivery: Delivery, lasting: Streaming | Upgrading) -> None:
        stream = asyncio.current_task()
        assert stream is not None
        self._streams.add(stream)
        try:
            if isinstance(lasting, Streaming):
                await delivery.stream(lasting)
            else:
                await delivery.upgrade(lasting)
        finally:
            self._streams.discard(stream)


def _release(served: "asyncio.Future[Outgoing]") -> None:
    """Nobody is there any more for what was to last."""
    if served.cancelled() or served.exception() is not None:
        return
    outgoing = served.result()
    if not isinstance(outgoing, Answer):
        outgoing.release()


def _incoming(request: web.BaseRequest) -> Incoming:
    has_body = request.method in _BODY_METHODS and request.body_exists
    return Incoming(
        method=request.method,
        path=request.rel_url.raw_path,
        query=Query(request.rel_url.raw_query_string),
        headers=_headers(request.headers),
        receive=_receiver(request) if has_body else None,
        certificate=_subject(request),
        remote=request.remote or "",
    )


def _receiver(request: web.BaseRequest) -> Receive:
    async def receive(take: Callable[[int], None]) -> bytes:
        if (request.content_length or 0) > BODY_BYTES_MAX:
            raise _too_large()
        if request.headers.get("Expect", "").lower() == "100-continue":
            _go_on(request)
        try:
            if request.content.is_eof():  # it came with the head: nothing to wait for
                return _taken(request.content.read_nowait(), take)
            async with asyncio.timeout(BODY_SECONDS_MAX):
                return await _body(request, take)
        except TimeoutError:
            raise errors.timeout("the request's body did not come in time") from None
        except (ConnectionError, web.RequestPayloadError) as error:
            raise errors.bad_request(f"the request's body cannot be read: {error}") from None

    return receive


def _taken(body: bytes, take: Callable[[int], None]) -> bytes:
    if len(body) > BODY_BYTES_MAX:
        raise _too_large()
    take(len(body))
    return body


async def _body(request: web.BaseRequest, take: Callable[[int], None]) -> bytes:
    body = bytearray()  # pieces of a few bytes each would take many times what is counted
    async for part in request.content.iter_any():
        if len(body) + len(part) > BODY_BYTES_MAX:
            raise _too_large()
        take(len(part))
        body += part
    return bytes(body)


def _go_on(request: web.BaseRequest) -> None:
    """Who waits to hear whether the body is wanted at all is told so (RFC 9110, 10.1.1)."""
    if request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(_CONTINUE)


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
