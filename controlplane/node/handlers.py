"""Asks a container something, once: the actions of probes and of lifecycle hooks.

Source: Kubernetes' API reference of Probe and LifecycleHandler; documentation, "Configure
Liveness, Readiness and Startup Probes"; grpc.health.v1.
"""

import asyncio
import os
import re
import ssl
from functools import cache
from typing import Literal
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from controlplane.api.types.core_v1 import (
    Container,
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    LifecycleHandler,
    Probe,
    TCPSocketAction,
)
from controlplane.node.runtime.interface import RefusedError, Runtime
from kvstore.seams import Clock

BODY_BYTES_MAX = 10 * 1024
MESSAGE_CHARACTERS_MAX = 1_000
PROBE_AGENT = "kube-probe/1.33"
HOOK_AGENT = "kube-lifecycle/1.33"
HANG_SECONDS = 1.0
"""After a timeout a runtime has so long to end the command itself."""

REQUESTS_MAX = 10
"""With those that redirects lead to (Go's HTTP client)."""

_REDIRECTS = (301, 302, 303, 307, 308)
_SAFE = "%/:?#[]@!$&'()*+,;="  # what RFC 3986 reserves means something where it is
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")

_NO_TLS = "WRONG_VERSION_NUMBER"
"""OpenSSL, of a server that answers in no version of TLS: in plain HTTP, say."""

_SERVING = 1
_SERVING_WORDS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


Outcome = Literal["success", "warning", "failure", "unknown"]


class Answer(msgspec.Struct, frozen=True):
    """outcome  `warning`: a success that is to be told of; `unknown`: it could not be asked, which
             says nothing of the container
    message  what was answered, for an event
    """

    outcome: Outcome
    message: str = ""

    @property
    def is_success(self) -> bool:
        """Whether all is well."""
        return self.outcome in ("success", "warning")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask. `address`: of the pod."""

    container_id: str
    spec: Container
    address: str


class Handlers:
    """Asks for one node."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock

    async def probe(self, target: Target, probe: Probe, timeout_seconds: float) -> Answer:
        """Never raises, and never takes much longer than its timeout."""
        if probe.exec is not None:
            return await self._exec(target, probe.exec, timeout_seconds)
        if probe.http_get is not None:
            return await self._http(target, probe.http_get, timeout_seconds)
        if probe.tcp_socket is not None:
            return await self._tcp(target, probe.tcp_socket, timeout_seconds)
        if probe.grpc is not None:
            return await self._grpc(target, probe.grpc, timeout_seconds)
        return Answer("unknown", "missing probe handler")

    async def hook(
        self, target: Target, handler: LifecycleHandler, timeout_seconds: float
    ) -> Answer:
        """… of a hook. What fails is told, and nobody waits longer for it."""
        if handler.exec is not None:
            return await self._exec(target, handler.exec, timeout_seconds)
        if handler.http_get is not None:
            return await self._http_hook(target, handler.http_get, timeout_seconds)
        if handler.sleep is not None:
            await self._clock.sleep(min(max(handler.sleep.seconds, 0), timeout_seconds))
            return Answer("success")
        # The API has tcpSocket, for what was written long ago; no kubelet runs it.
        return Answer("failure", "invalid handler")

    async def _exec(self, target: Target, action: ExecAction, seconds: float) -> Answer:
        command = " ".join(action.command)
        try:
            async with asyncio.timeout(seconds + HANG_SECONDS):
                done = await self._runtime.exec_sync(target.container_id, action.command, seconds)
        except TimeoutError:
            return Answer("failure", f'command timed out: "{command}" timed out after {seconds:g}s')
        except (RefusedError, OSError) as error:
            return Answer("unknown", f"rpc error: {error}"[:MESSAGE_CHARACTERS_MAX])
        text = (done.output + done.errors).decode(errors="replace")
        return Answer("failure" if done.exit_code else "success", text[:MESSAGE_CHARACTERS_MAX])

    async def _http(self, target: Target, action: HTTPGetAction, seconds: float) -> Answer:
        request = _request_of(target, action, PROBE_AGENT)
        if request is None:
            return Answer("unknown", f"couldn't find port: {action.port!r}")
        try:
            return _judged(*await _get(request, seconds))
        except _NoAnswerError as error:
            return Answer("failure", str(error))

    async def _http_hook(self, target: Target, action: HTTPGetAction, seconds: float) -> Answer:
        """Whatever it answers will do. Who says HTTPS of what speaks HTTP is asked so: that was
        never checked when hooks were young.
        """
        request = _request_of(target, action, HOOK_AGENT)
        if request is None:
            return Answer("failure", f"couldn't find port: {action.port!r}")
        began = self._clock.now()
        try:
            await _get(request, seconds)
        except _NoAnswerError as error:
            if not error.is_plain:
                return Answer("failure", str(error))
            try:
                await _get(request.plain(), max(began + seconds - self._clock.now(), 0.0))
            except _NoAnswerError:
                return Answer("failure", str(error))
            told = f"request to HTTPS lifecycle hook {request.place} got HTTP response, "
            return Answer("warning", f"{told}retry with HTTP succeeded")
        return Answer("success")

    async def _tcp(self, target: Target, action: TCPSocketAction, seconds: float) -> Answer:
        port = port_of(target.spec, action.port)
        if port is None:
            return Answer("unknown", f"couldn't find port: {action.port!r}")
        host = action.host or target.address
        try:
            async with asyncio.timeout(seconds):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return Answer("failure", f"dial tcp {_bracketed(host)}:{port}: i/o timeout")
        except OSError as error:
            return Answer("failure", f"dial tcp {_bracketed(host)}:{port}: {_reason(error)}")
        writer.close()
        return Answer("success")

    async def _grpc(self, target: Target, action: GRPCAction, seconds: float) -> Answer:
        # Not above: few pods are asked so, and it takes 11 MiB.
        from controlplane.node import grpc_health  # noqa: PLC0415

        place = f"{_bracketed(target.address)}:{action.port}"
        try:
            status = await grpc_health.status_of(place, action.service or "", seconds)
        except TimeoutError:
            why = f'timeout: failed to connect service "{place}" within {seconds:g}s'
            return Answer("failure", why)
        except grpc_health.HealthError as error:
            return Answer("failure", f"error: health rpc failed: {error}")
        if status == _SERVING:
            return Answer("success")
        word = _SERVING_WORDS.get(status, str(status))
        return Answer("failure", f'service unhealthy (responded with "{word}")')


def port_of(spec: Container, port: int | str) -> int | None:
    """By number, or by name of one of the container's ports."""
    if isinstance(port, int):
        return port if 0 < port < 65536 else None
    if port.isascii() and port.isdecimal():
        return port_of(spec, int(port))
    found = (one.container_port for one in spec.ports if one.name == port)
    return next(found, None)


def encoded(path: str) -> str:
    """A path, with a query perhaps, as it is sent: what is percent-encoded already stays so."""
    return quote(_STRAY_PERCENT.sub("%25", path), safe=_SAFE, errors="replace")


def _reason(error: OSError) -> str:
    """As Go tells it: `connect: connection refused`."""
    if error.errno is None:
        return str(error)
    return f"connect: {os.strerror(error.errno).lower()}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@cache
def _trusting() -> ssl.SSLContext:
    """Certificates prove nothing here: nobody knows what a pod calls itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    scheme: str
    place: str
    path: str
    headers: tuple[tuple[str, str], ...]

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.place}{self.path}"

    def plain(self) -> "_Request":
        """… without TLS, and without what is for nobody else's eyes."""
        headers = tuple(one for one in self.headers if one[0].lower() != "authorization")
        return msgspec.structs.replace(self, scheme="http", headers=headers)


def _request_of(target: Target, action: HTTPGetAction, agent: str) -> _Request | None:
    """None: it has no such port."""
    port = port_of(target.spec, action.port)
    if port is None:
        return None
    path = action.path if action.path.startswith("/") else f"/{action.path}"
    headers = [("User-Agent", agent), ("Accept", "*/*"), ("Connection", "close")]
    sent = {one.name.lower() for one in action.http_headers}
    headers = [one for one in headers if one[0].lower() not in sent]
    headers += [(one.name, one.value) for one in action.http_headers]
    return _Request(
        scheme=(action.scheme or "HTTP").lower(),
        place=f"{_bracketed(action.host or target.address)}:{port}",
        path=encoded(path),
        headers=tuple(one for one in headers if one[1]),
    )


class _NoAnswerError(Exception):
    """is_plain  what was to speak TLS does not"""

    def __init__(self, url: str, why: str, *, is_plain: bool = False) -> None:
        super().__init__(f'Get "{url}": {why}'[:MESSAGE_CHARACTERS_MAX])
        self.is_plain = is_plain


async def _get(request: _Request, seconds: float) -> tuple[int, bytes]:
    """The status that it answers with, and what it says. Raises _NoAnswerError."""
    url = request.url
    try:
        async with asyncio.timeout(seconds):
            return await _followed(url, list(request.headers))
    except TimeoutError as error:
        raise _NoAnswerError(url, "context deadline exceeded") from error
    except aiohttp.ClientConnectorError as error:
        is_plain = getattr(error.os_error, "reason", "") == _NO_TLS
        why = f"dial tcp {request.place}: {_reason(error.os_error)}"
        raise _NoAnswerError(url, why, is_plain=is_plain) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _NoAnswerError(url, str(error)) from error


async def _followed(address: str, headers: list[tuple[str, str]]) -> tuple[int, bytes]:
    """Redirects lead on only to the host that was asked: others are not this container."""
    url = URL(address, encoded=True)
    connector = aiohttp.TCPConnector(ssl=_trusting(), force_close=True)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as session:
        for _ in range(REQUESTS_MAX):
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                body = await response.content.read(BODY_BYTES_MAX)
            location = response.headers.get("Location")
            if location is None or response.status not in _REDIRECTS:
                return response.status, body
            place = URL(encoded(location), encoded=True)
            if place.absolute:  # a Host that the probe has is meant for where it asks
                headers = [one for one in headers if one[0].lower() != "host"]
            following = url.join(place)
            if following.host != url.host:
                return response.status, body
            url = following
    raise _NoAnswerError(str(url), f"stopped after {REQUESTS_MAX} redirects")


def _judged(status: int, body: bytes) -> Answer:
    text = body.decode(errors="replace")
    if 300 <= status < 400:
        told = f"Probe terminated redirects, Response body: {text}"
        return Answer("warning", told[:MESSAGE_CHARACTERS_MAX])
    if 200 <= status < 300:
        return Answer("success", text[:MESSAGE_CHARACTERS_MAX])
    return Answer("failure", f"HTTP probe failed with statuscode: {status}")
