"""The node agent's HTTPS server: logs, commands, forwarded ports, what is used. Its paths are the
kubelet's.

Only the API server asks it, which shows by its certificate that it is that: whoever reaches this
server can run anything in any pod, and who may do that only the API server knows.

Source: kubectl-needs.md, section 1; Kubernetes' documentation, "Communication between Nodes and
the Control Plane"; kube-behaviour 10.7.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterator
from functools import partial

import orjson
from aiohttp import web

from controlplane.api.errors import ApiError
from controlplane.api.podlogs import LogOptions, log_options
from controlplane.node.commands import run_command
from controlplane.node.forwards import forward
from controlplane.node.handshakes import Handshake, handshake
from controlplane.node.log_files import read_log
from controlplane.node.measuring import Measuring
from controlplane.node.runtime.interface import RefusedError, Runtime, Session
from controlplane.node.whereabouts import MissingError, Place, Whereabouts
from controlplane.peers import notice_dead_peer, until_taken
from controlplane.streams import channels, command_spdy, port_forward
from controlplane.streams.channels import ChannelStreams
from controlplane.streams.command_spdy import SpdyStreams
from controlplane.streams.port_forward import Bare, Carrier, Forwarding, Tunnel
from controlplane.streams.remote_command import NO_STREAM, Streams, Wish
from controlplane.streams.websocket import WebSocket
from controlplane.upgrades import Connection, TakenOver, switching, taken_over

STREAMS_MAX = 500
"""Commands, forwarded ports and logs that are under way together."""
HEAD_BYTES_MAX = 64 * 1024  # of a line of a request: a command may be long

_log = logging.getLogger(__name__)

_Converse = Callable[[Connection], Awaitable[None]]


class NodeServer:
    """Of a runtime's pods; serves from `listen` to `close`.

    tls      None: plain HTTP, for whoever reaches it; for tests, and loopback only
    clients  common names of the certificates that may ask
    """

    def __init__(
        self,
        runtime: Runtime,
        measuring: Measuring,
        *,
        tls: ssl.SSLContext | None,
        clients: Collection[str],
    ) -> None:
        self._runtime = runtime
        self._measuring = measuring
        self._pods = Whereabouts(runtime)
        self._tls = tls
        self._clients = frozenset(clients)
        self._runner: web.AppRunner | None = None
        self._streams: set[asyncio.Task[object]] = set()
        self._begun = 0

    async def listen(self, host: str, port: int) -> int:
        """Begin to serve; the port, which the kernel chose if it was 0. Raises OSError."""
        app = web.Application(middlewares=[self._guarded])
        pod, container = "/{namespace}/{pod}", "/{namespace}/{pod}/{container}"
        app.router.add_get("/containerLogs" + container, self._logs)
        for method in ("GET", "POST"):
            app.router.add_route(method, "/exec" + container, self._exec)
            app.router.add_route(method, "/attach" + container, self._attach)
            app.router.add_route(method, "/portForward" + pod, self._port_forward)
        app.router.add_get("/stats/summary", self._summary)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            max_line_size=HEAD_BYTES_MAX,
            max_field_size=HEAD_BYTES_MAX,
            auto_decompress=False,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=self._tls)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Serve no more; what is under way ends at once."""
        for stream in self._streams:
            stream.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def streams(self) -> int:
        """How many commands, forwarded ports and logs are under way."""
        return len(self._streams)

    @web.middleware
    async def _guarded(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if request.transport is not None:
            notice_dead_peer(request.transport.get_extra_info("socket"), may_pause=True)
        if self._tls is not None and _common_name(request) not in self._clients:
            return _refusal(403, "Forbidden")
        try:
            return await handler(request)
        except MissingError as error:
            return _refusal(404, str(error))
        except ApiError as error:
            return _refusal(error.code, error.message)
        except RefusedError as error:
            return _refusal(404 if error.reason == "NotFound" else 500, error.message)

    # ------------------------------------------------------------------- logs

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        options = log_options(
            lambda name: request.query.get(name, ""), lambda name: name in request.query
        )
        place = await self._logged(request, options)
        with self._counted():
            response = web.StreamResponse(headers={"Content-Type": "text/plain"})
            await response.prepare(request)
            is_running = partial(self._pods.is_running, place.container.id)
            parts = read_log(place.log, options, is_running)
            try:
                async with contextlib.aclosing(parts):
                    async for part in parts:
                        await response.write(part)
                await response.write_eof()
                await until_taken(request.transport)
            except (RefusedError, OSError) as error:
                _log.warning("a log of %s is cut: %s", place.container.id, error)
                _abort(request)  # it must not be taken for all
        return response

    async def _logged(self, request: web.Request, options: LogOptions) -> Place:
        """The attempt whose log is wanted. containerID: whoever knows it says which one."""
        _, _, container = _named(request)
        attempts = await self._pods.attempts(*_named(request), _uid(request))
        wanted = request.query.get("containerID", "")
        if wanted:
            found = [one for one in attempts if one.container.id == wanted]
        elif options.is_previous:
            found = [one for one in attempts[1:] if one.container.state == "exited"]
        else:
            found = attempts
        if not found:
            raise MissingError(f'container "{container}" has no log')
        return found[0]

    # --------------------------------------------------------------- commands

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        container = await self._pods.running(*_named(request), _uid(request))
        wish = _wish(request)

        async def start() -> Session:
            return await self._runtime.exec(
                container.id, wish.command, has_stdin=wish.has_stdin, has_tty=wish.has_tty
            )

        if not wish.command:
            return _refusal(400, "you must specify at least 1 command")
        return await self._command(request, wish, start, tells_exit_code=True)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        container = await self._pods.running(*_named(request), _uid(request))
        wish = _wish(request)

        async def start() -> Session:
            return await self._runtime.attach(container.id, has_stdin=wish.has_stdin)

        return await self._command(request, wish, start, tells_exit_code=False)

    async def _command(
        self,
        request: web.Request,
        wish: Wish,
        start: Callable[[], Awaitable[Session]],
        *,
        tells_exit_code: bool,
    ) -> web.StreamResponse:
        if wish.is_empty:
            return _refusal(400, NO_STREAM)
        agreed = handshake(request.headers, channels.PROTOCOLS, command_spdy.PROTOCOLS)
        streams: Streams = SpdyStreams(wish)
        if agreed.is_websocket:
            streams = ChannelStreams(wish, agreed.protocol)

        async def converse(connection: Connection) -> None:
            await run_command(connection, streams, start, tells_exit_code=tells_exit_code)

        return await self._upgraded(request, agreed, converse)

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        namespace, pod = request.match_info["namespace"], request.match_info["pod"]
        sandbox = await self._pods.sandbox(namespace, pod, _uid(request))
        agreed = handshake(request.headers, (port_forward.TUNNEL,), (port_forward.PROTOCOL,))
        carrier: Carrier = Tunnel(WebSocket()) if agreed.is_websocket else Bare()

        async def converse(connection: Connection) -> None:
            connect = partial(self._runtime.connect, sandbox.id)
            told = f"{sandbox.id}, uid {sandbox.config.uid}"
            await forward(connection, Forwarding(carrier), connect, pod=told)

        return await self._upgraded(request, agreed, converse)

    async def _upgraded(
        self, request: web.Request, agreed: Handshake, converse: _Converse
    ) -> web.StreamResponse:
        with self._counted(), contextlib.suppress(ConnectionError):
            async with taken_over(request) as connection:
                connection[1].write(switching(agreed.headers))
                await converse(connection)
        return TakenOver()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """One of the streams that are under way. Raises ApiError 429: there are too many."""
        if len(self._streams) >= STREAMS_MAX:
            raise ApiError(429, "TooManyRequests", f"{STREAMS_MAX} streams are under way already")
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        self._begun += 1
        try:
            yield
        finally:
            self._streams.discard(task)

    # ----------------------------------------------------------------- others

    async def _summary(self, _: web.Request) -> web.StreamResponse:
        return web.Response(
            body=orjson.dumps(await self._measuring.summary()), content_type="application/json"
        )

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        lines = (
            "# HELP kubelet_streams Logs, commands and forwarded ports under way.",
            "# TYPE kubelet_streams gauge",
            f"kubelet_streams {len(self._streams)}",
            "# HELP kubelet_streams_total … that were begun.",
            "# TYPE kubelet_streams_total counter",
            f"kubelet_streams_total {self._begun}",
        )
        return web.Response(text="\n".join((*lines, "")))


def server_tls(certificate: str, key: str, client_authority: str) -> ssl.SSLContext:
    """Of files. Whoever has no certificate of the authority does not get as far as asking."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _common_name(request: web.Request) -> str:
    certificate = request.get_extra_info("peercert") or {}
    names = [
        value
        for part in certificate.get("subject", ())
        for name, value in part
        if name == "commonName"
    ]
    return names[0] if names else ""


def _named(request: web.Request) -> tuple[str, str, str]:
    found = request.match_info
    return found["namespace"], found["pod"], found["container"]


def _uid(request: web.Request) -> str:
    """Whoever says it does not mean another pod of the same name."""
    return request.query.get("uid", "")


def _wish(request: web.Request) -> Wish:
    def flag(*names: str) -> bool:
        return any(request.query.get(name, "") in ("1", "true") for name in names)

    return Wish(
        command=tuple(request.query.getall("command", ())),
        has_stdin=flag("input", "stdin"),
        has_stdout=flag("output", "stdout"),
        has_stderr=flag("error", "stderr"),
        has_tty=flag("tty"),
    )


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _refusal(code: int, message: str) -> web.Response:
    return web.Response(status=code, text=message)
