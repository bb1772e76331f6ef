"""The RPC front on grpc.aio: ports, TLS, limits, and which handler serves which method.

Services are transport-free objects with a table of their methods; this mounts the tables. grpc
listens on a local socket without a name in the file system, behind the ports of `client_port`.
Only this module and `grpc_calls` know grpc.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import grpc
import msgspec
from google.protobuf.message import Message

from kvstore.errors import ConfigError, UnknownMethodError
from kvstore.server.call import Kind, Service
from kvstore.server.client_port import ClientConnection, Page, Pages
from kvstore.server.grpc_calls import Context, LiveCalls, set_status
from kvstore.server.tls import FrontTls
from kvstore.server.urls import Url

# gRPC's own limit leaves room around a request of the largest size (etcd's overhead).
MESSAGE_OVERHEAD_BYTES = 512 * 1024
# Calls that the loop has not come to yet; then they are refused.
PENDING_CALLS_MAX = 50_000
# Time that calls which were failed at the end have to reach their clients.
STOP_GRACE_SECONDS = 1.0
_INT32_MAX = 2**31 - 1


class FrontLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what clients may do; the defaults are etcd's."""

    request_bytes_max: int = 1_572_864
    concurrent_streams_max: int = _INT32_MAX
    keepalive_min_interval_seconds: float = 5.0
    keepalive_interval_seconds: float = 2 * 3600.0
    keepalive_timeout_seconds: float = 20.0


class Front:
    """Serves `services` at `urls` from `start` to `stop`."""

    def __init__(
        self,
        services: Sequence[Service],
        urls: Sequence[Url],
        tls: FrontTls | None = None,
        limits: FrontLimits | None = None,
        pages: Pages | None = None,
    ) -> None:
        """`pages` answers plain GETs; without it every one is not found."""
        self._pages = pages or _no_pages
        self._listeners: list[asyncio.Server] = []
        self._urls = urls
        self._tls = tls
        self._limits = limits or FrontLimits()
        self._calls = LiveCalls()
        self._handlers = _GenericHandlers(services, self._calls)
        self._server: grpc.aio.Server | None = None
        self.ports: list[int] = []  # as bound, in the order of the URLs (one may ask for port 0)

    async def start(self) -> None:
        """Listen and serve. Raises ConfigError naming the address at fault."""
        server = grpc.aio.server(options=_options(self._limits))
        server.add_generic_rpc_handlers((self._handlers,))
        # Every local user can find such a name: it must ask for no less than the port before it.
        inner = {url.is_tls: f"keelson-{secrets.token_hex(16)}" for url in self._urls}
        try:
            for is_tls, name in inner.items():
                self._add_inner_port(server, f"unix-abstract:{name}", is_tls=is_tls)
            for url in self._urls:
                await self._listen(url, "\0" + inner[url.is_tls])
        except ConfigError:
            self._close_listeners()
            raise
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Fail the calls under way with StoppedError, then close every connection."""
        self._close_listeners()
        self._calls.stop()
        if self._server is not None:
            await self._server.stop(STOP_GRACE_SECONDS)
            self._server = None

    def _add_inner_port(self, server: grpc.aio.Server, address: str, *, is_tls: bool) -> None:
        if not is_tls:
            server.add_insecure_port(address)
        elif self._tls is not None:
            server.add_secure_port(address, _credentials(self._tls))
        else:
            raise ConfigError("cannot listen on an https URL without --cert-file and --key-file")

    async def _listen(self, url: Url, front_address: str) -> None:
        try:
            listener = await asyncio.get_running_loop().create_server(
                lambda: ClientConnection(front_address, self._pages), url.host, url.port
            )
        except OSError as error:
            reason = f"is the port in use? ({error})"
            raise ConfigError(f"cannot listen on {url.text}: {reason}") from None
        self._listeners.append(listener)
        self.ports.append(listener.sockets[0].getsockname()[1])

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


class _GenericHandlers(grpc.GenericRpcHandler):
    """Finds the handler of a method by its full name."""

    def __init__(self, services: Sequence[Service], calls: LiveCalls) -> None:
        self._handlers: dict[str, Any] = {}
        for service in services:
            for name, (attribute, request_type, kind) in service.methods.items():
                assert name not in self._handlers, f"two services serve {name}"
                handler = getattr(service.handlers, attribute)
                self._handlers[name] = _handler(calls, handler, request_type, kind)
        self._services = {name.split("/")[1] for name in self._handlers}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of one call; a method that is not there gets one that says so."""
        name = handler_call_details.method
        handler = self._handlers.get(name)
        if handler is not None:
            return handler
        _, _, path = name.partition("/")
        service, _, method = path.rpartition("/")
        text = f"method {method} for service {service}"
        if service not in self._services:
            text = f"service {service}"
        # As a stream: it is answered before any request of the client has arrived.
        refuse: Any = partial(_refuse, UnknownMethodError(text))
        return grpc.stream_stream_rpc_method_handler(refuse)


async def _refuse(error: UnknownMethodError, _requests: Any, context: Context) -> None:
    set_status(context, error)


def _handler(calls: LiveCalls, handler: Any, request_type: type[Message], kind: Kind) -> Any:
    # Any: grpc's stubs describe the behaviours of the threaded server only.
    behaviour: Any
    if kind == "unary":
        behaviour = partial(calls.serve_unary, handler, request_type)
        return grpc.unary_unary_rpc_method_handler(behaviour)
    behaviour = partial(calls.serve_stream, handler, request_type)
    return grpc.stream_stream_rpc_method_handler(behaviour)


def _options(limits: FrontLimits) -> list[tuple[str, int]]:
    return [
        (
            "grpc.max_receive_message_length",
            min(limits.request_bytes_max + MESSAGE_OVERHEAD_BYTES, _INT32_MAX),
        ),
        ("grpc.max_send_message_length", -1),
        # Or calls beyond a thousand that wait for a busy loop would be cancelled at random.
        ("grpc.server.max_pending_requests", PENDING_CALLS_MAX),
        ("grpc.server.max_pending_requests_hard_limit", PENDING_CALLS_MAX),
        ("grpc.max_concurrent_streams", min(limits.concurrent_streams_max, _INT32_MAX)),
        ("grpc.keepalive_time_ms", _milliseconds(limits.keepalive_interval_seconds)),
        ("grpc.keepalive_timeout_ms", _milliseconds(limits.keepalive_timeout_seconds)),
        ("grpc.keepalive_permit_without_calls", 0),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            _milliseconds(limits.keepalive_min_interval_seconds),
        ),
    ]


def _milliseconds(seconds: float) -> int:
    """0 turns keep-alive off, as in etcd; gRPC says it with the largest number."""
    return min(int(seconds * 1000), _INT32_MAX) or _INT32_MAX


def _credentials(tls: FrontTls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.private_key, tls.certificate_chain)],
        root_certificates=tls.trusted_ca,
        require_client_auth=tls.is_client_cert_required,
    )


def _no_pages(_path: str, reply: Callable[[Page], None]) -> None:
    reply(Page(HTTPStatus.NOT_FOUND, "text/plain", b"404 page not found\n"))
