"""The nodes' agents: where each listens, and what it is asked, over TLS both ways.

Source: Kubernetes' documentation, "Communication between Nodes and the Control Plane", and the
API server's flags `--kubelet-…`; architecture.md, section 2.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from aiohttp import AddrInfoType
from yarl import URL

from controlplane import upgrades
from controlplane.api import errors
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.peers import notice_dead_peer
from controlplane.upgrades import CALL_SECONDS_MAX, Answered, CallError, Headers

AGENT_PORT = 10_250  # where a node does not say another
READ_BYTES = 64 * 1024
REFUSAL_BYTES_MAX = 50_000
SUMMARY_BYTES_MAX = 16 * 1024 * 1024
SUMMARY_SECONDS_MAX = 10.0
_ADDRESS_TYPES = ("InternalIP", "Hostname", "ExternalIP")

Parameters = Sequence[tuple[str, str]]
Place = tuple[str, int]  # address, port


class RefusalError(Exception):
    """An agent has answered, with something else than what was asked for."""

    def __init__(self, code: int, body: bytes) -> None:
        super().__init__(code)
        self.code = code
        self.body = body

    @property
    def text(self) -> str:
        """What it says."""
        return self.body.decode(errors="replace").strip()


class Nodes:
    """Of a cluster.

    get  a Node by its name; None: there is none
    tls  by which agents are known, and know this server; None: it may ask none
    """

    def __init__(self, get: Callable[[str], Object | None], tls: ssl.SSLContext | None) -> None:
        self._get = get
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Ask nothing more."""
        if self._session is not None:
            await self._session.close()

    def place(self, name: str) -> Place:
        """Where a node's agent listens. Raises ApiError 404, 500 and 503."""
        if self._tls is None:
            raise errors.service_unavailable(
                "this server was started without --kubelet-client-certificate, and asks no node"
            )
        node = self._get(name)
        if node is None:
            raise errors.not_found("nodes", "", name)
        found = place_of(node)
        if found is None:
            told = ", ".join(_ADDRESS_TYPES)
            raise errors.internal(f"no preferred addresses found; known addresses: {told}")
        return found

    async def upgrade(
        self, place: Place, method: str, path: str, parameters: Parameters, headers: Headers
    ) -> Answered:
        """Have an agent leave HTTP. Raises ApiError 500: it is not there; RefusalError."""
        try:
            answered = await upgrades.call(
                place, self._tls, method, _target(path, parameters), headers
            )
        except CallError as error:
            raise _unreached(str(error)) from None
        if answered.status != 101:
            raise RefusalError(answered.status, await upgrades.body_of(answered, REFUSAL_BYTES_MAX))
        return answered

    async def open(self, place: Place, path: str, parameters: Parameters) -> aiohttp.ClientResponse:
        """What an agent sends; to be read and closed. Raises ApiError 500, RefusalError."""
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                # A node that was broken into must not send us, and who we are, elsewhere.
                response = await self._client().get(
                    _url(place, path, parameters), allow_redirects=False
                )
        except TimeoutError:
            raise _unreached(f"{place[0]}:{place[1]} does not answer") from None
        except aiohttp.ClientError as error:
            raise _unreached(str(error)) from None
        if response.status == 200:
            return response
        body = b""
        with contextlib.closing(response), contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(CALL_SECONDS_MAX):
                body = await response.content.read(REFUSAL_BYTES_MAX)
        raise RefusalError(response.status, body)

    async def summary(self, place: Place) -> Any:
        """What is used on a node. Raises ApiError 500, RefusalError."""
        async with self._opened(place, "/stats/summary") as response:
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > SUMMARY_BYTES_MAX:
                    raise _unreached("a summary that is too large")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            raise _unreached("a summary that is no JSON") from None

    @contextlib.asynccontextmanager
    async def _opened(self, place: Place, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with asyncio.timeout(SUMMARY_SECONDS_MAX):
                response = await self.open(place, path, ())
                with contextlib.closing(response):
                    yield response
        except (TimeoutError, aiohttp.ClientError) as error:
            raise _unreached(str(error) or "it does not answer") from None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            assert self._tls is not None, "who has no place asks nobody"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=0, socket_factory=_socket_of),
                timeout=aiohttp.ClientTimeout(total=None),
                read_bufsize=READ_BYTES,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def place_of(node: Object) -> Place | None:
    """Where the agent of a node listens; None: it does not say."""
    status = node.get("status") or {}
    known = {one.get("type"): one.get("address") for one in status.get("addresses") or ()}
    address = next((known[kind] for kind in _ADDRESS_TYPES if known.get(kind)), None)
    endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    port = endpoint.get("Port") or AGENT_PORT
    if not isinstance(address, str) or not isinstance(port, int) or not 0 < port < 1 << 16:
        return None
    return address, port


def path_of(*parts: str) -> str:
    """Of names, none of which can be taken for two."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def client_tls(certificate: str, key: str, authority: str) -> ssl.SSLContext | None:
    """By files; None where there is no certificate to show."""
    if not certificate:
        return None
    context = ssl.create_default_context(cafile=authority or None)
    context.load_cert_chain(certificate, key)
    return context


def _socket_of(address: AddrInfoType) -> socket.socket:
    """One that is closed when the node is gone: who follows a silent log would wait for ever."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    notice_dead_peer(made)
    return made


def _target(path: str, parameters: Parameters) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path


def _url(place: Place, path: str, parameters: Parameters) -> URL:
    host, port = place
    at = f"[{host}]" if ":" in host else host
    return URL(f"https://{at}:{port}{_target(path, parameters)}", encoded=True)


def _unreached(why: str) -> ApiError:
    return errors.internal(f"error dialing backend: {why}")
