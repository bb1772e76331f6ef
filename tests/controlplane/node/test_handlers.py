"""Probes and hooks, against real servers. Numbers are rows of kube-behaviour.md."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest

from controlplane.api.record import from_object
from controlplane.api.types.core_v1 import Container, LifecycleHandler, Probe
from controlplane.node.handlers import Answer, Handlers, Outcome, Target, port_of
from controlplane.node.runtime.fake import FakeRuntime, Script
from controlplane.node.runtime.interface import ContainerConfig, ExecResult, SandboxConfig
from kvstore.client.clock import AsyncioClock

HOST = "127.0.0.1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def target(container_id: str = "c", **fields: Any) -> Target:
    spec = from_object(Container, {"name": "a", **fields})
    return Target(container_id=container_id, spec=spec, address=HOST)


def handlers(runtime: FakeRuntime | None = None) -> Handlers:
    clock = AsyncioClock()
    return Handlers(runtime or FakeRuntime(clock, time.time), clock)


async def ask(probe: dict[str, Any], whom: Target | None = None, seconds: float = 5.0) -> Answer:
    return await handlers().probe(whom or target(), from_object(Probe, probe), seconds)


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(on_connection, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class Web:
    """Answers with one status, and keeps what it was asked."""

    def __init__(self, status: str, headers: str = "") -> None:
        self.asked = b""
        self._answer = f"HTTP/1.1 {status}\r\n{headers}Content-Length: 2\r\n\r\nok"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer.encode())
        await writer.drain()


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize(
    ("status", "is_success"),
    [
        ("200 OK", True),
        ("299 Odd", True),
        ("400 Bad Request", False),
        ("500 Internal Server Error", False),
    ],
)
async def test_http_from_200_to_299_is_success(status: str, is_success: bool) -> None:
    """10.5."""
    web = Web(status)
    async with serving(web) as port:
        answer = await ask({"httpGet": {"port": port, "path": "/healthz?full=1"}})
    assert answer.is_success is is_success
    if not is_success:
        assert answer.message == f"HTTP probe failed with statuscode: {status[:3]}"
    assert web.asked.startswith(b"GET /healthz?full=1 HTTP/1.1\r\n")
    assert b"user-agent: kube-probe/1.33" in web.asked.lower()


class Redirecting:
    """Leads on `times` times, then says that it is not well. asked: heads of requests"""

    def __init__(self, times: int, location: str) -> None:
        self.asked: list[bytes] = []
        self._times = times
        self._location = location

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        status = "302 Found" if len(self.asked) <= self._times else "503 Unavailable"
        place = self._location.replace("PORT", str(writer.get_extra_info("sockname")[1]))
        writer.write(f"HTTP/1.1 {status}\r\nLocation: {place}\r\n\r\n".encode())
        await writer.drain()


@pytest.mark.parametrize(
    ("location", "host"),
    [("/other one?x=1", b"example.com"), ("http://127.0.0.1:PORT/other%20one?x=1", b"127.0.0.1:")],
)
async def test_http_follows_redirects_to_the_same_host(location: str, host: bytes) -> None:
    """10.5."""
    web = Redirecting(1, location)
    headers = [{"name": "Host", "value": "example.com"}]
    async with serving(web) as port:
        answer = await ask({"httpGet": {"port": port, "path": "/", "httpHeaders": headers}})
    assert answer == Answer("failure", "HTTP probe failed with statuscode: 503")
    first, second = (one.lower() for one in web.asked)
    assert second.startswith(b"get /other%20one?x=1 ")
    assert b"host: example.com" in first
    assert b"host: " + host in second


async def test_http_follows_no_more_than_ten_redirects() -> None:
    web = Redirecting(20, "/again")
    async with serving(web) as port:
        answer = await ask({"httpGet": {"port": port}})
    assert answer.outcome == "failure"
    assert answer.message.endswith("stopped after 10 redirects")
    assert len(web.asked) == 10


@pytest.mark.parametrize(
    "web",
    [
        Web("302 Found", "Location: http://192.0.2.1/\r\n"),
        Web("302 Found"),
        Web("399 Odd", "Location: /\r\n"),
    ],
)
async def test_http_redirect_to_elsewhere_is_success_with_a_warning(web: Web) -> None:
    """10.5: 399 is success."""
    async with serving(web) as port:
        answer = await ask({"httpGet": {"port": port}})
    assert answer == Answer("warning", "Probe terminated redirects, Response body: ok")
    assert answer.is_success


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("", "/"),
        ("a b", "/a%20b"),
        ("/a%20b%2Fc", "/a%20b%2Fc"),
        ("/100%?q=1 2&r=%41", "/100%25?q=1%202&r=%41"),
        ("/ä/[x]/../;y", "/%C3%A4/[x]/../;y"),
        ("/a\r\nX-Evil: 1", "/a%0D%0AX-Evil:%201"),
    ],
)
async def test_http_path_is_encoded_where_it_is_not(path: str, sent: str) -> None:
    web = Web("200 OK")
    async with serving(web) as port:
        assert (await ask({"httpGet": {"port": port, "path": path}})).is_success
    assert web.asked.startswith(f"GET {sent} HTTP/1.1\r\n".encode())


async def test_http_sends_the_probe_s_headers() -> None:
    web = Web("200 OK")
    async with serving(web) as port:
        headers = [{"name": "Host", "value": "example.com"}, {"name": "X-A", "value": "1"}]
        assert (await ask({"httpGet": {"port": port, "httpHeaders": headers}})).is_success
    assert b"host: example.com\r\n" in web.asked.lower()
    assert web.asked.lower().count(b"host:") == 1
    assert b"x-a: 1\r\n" in web.asked.lower()


async def test_http_of_a_port_by_name() -> None:
    async with serving(Web("200 OK")) as port:
        whom = target(ports=[{"name": "web", "containerPort": port}])
        assert (await ask({"httpGet": {"port": "web"}}, whom)).is_success
        assert (await ask({"httpGet": {"port": "other"}}, whom)).outcome == "unknown"


@pytest.mark.parametrize("kind", ["httpGet", "grpc"])
async def test_who_does_not_answer_in_time_has_failed(kind: str) -> None:
    """10.5: timeout."""
    async with serving(_hang) as port:
        began = time.monotonic()
        answer = await ask({kind: {"port": port}}, seconds=0.2)
    assert not answer.is_success
    assert answer.message
    assert time.monotonic() - began < 5


async def test_nobody_listens() -> None:
    async with serving(_hang) as port:
        pass
    refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    told = await ask({"httpGet": {"port": port, "path": "/x"}})
    assert told == Answer("failure", f'Get "http://127.0.0.1:{port}/x": {refused}')
    assert await ask({"tcpSocket": {"port": port}}) == Answer("failure", refused)
    assert not (await ask({"grpc": {"port": port}})).is_success


async def test_what_speaks_no_http_has_failed() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff\x00 hello\r\n\r\n")
        await writer.drain()

    async with serving(babble) as port:
        assert not (await ask({"httpGet": {"port": port}})).is_success


async def test_body_that_never_ends_is_not_waited_for() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with serving(flood) as port:
        answer = await ask({"httpGet": {"port": port}})
    assert answer.is_success
    assert len(answer.message) <= 1_000


async def test_tcp() -> None:
    """10.5."""
    async with serving(_hang) as port:
        assert (await ask({"tcpSocket": {"port": port}})).is_success


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (1, ""),
        (0, 'service unhealthy (responded with "UNKNOWN")'),
        (2, 'service unhealthy (responded with "NOT_SERVING")'),
    ],
)
async def test_grpc(status: int, message: str) -> None:
    """10.5: grpc.health.v1."""
    asked = []

    async def check(request: bytes, context: Any) -> bytes:
        asked.append(request)
        return bytes([8, status]) if status else b""

    method: Any = grpc.unary_unary_rpc_method_handler(check)
    service = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    try:
        answer = await ask({"grpc": {"port": port, "service": "mine"}})
        await ask({"grpc": {"port": port}})
    finally:
        await server.stop(None)
    assert (answer.is_success, answer.message) == (not message, message)
    assert asked == [b"\x0a\x04mine", b""]


async def running(script: Script) -> tuple[FakeRuntime, str]:
    runtime = FakeRuntime(AsyncioClock(), time.time, script=lambda sandbox, config: script)
    sandbox = await runtime.run_sandbox(
        SandboxConfig(name="p", namespace="n", uid="u", log_folder="")
    )
    config = ContainerConfig(name="a", attempt=0, image="i", log_path="a/0.log")
    container_id = await runtime.create_container(sandbox, config)
    await runtime.start_container(container_id)
    return runtime, container_id


@pytest.mark.parametrize(("code", "outcome"), [(0, "success"), (1, "failure")])
async def test_exec(code: int, outcome: Outcome) -> None:
    """10.5."""
    script = Script(answer=lambda command: ExecResult(code, command[0].encode(), b"!"))
    runtime, container_id = await running(script)
    probe = from_object(Probe, {"exec": {"command": ["is-up"]}})
    answer = await handlers(runtime).probe(target(container_id), probe, 1.0)
    assert answer == Answer(outcome, "is-up!")


async def test_exec_that_hangs_has_failed() -> None:
    """10.5: also where the runtime itself does not keep to the time."""
    runtime, container_id = await running(Script(answer_seconds=60))
    probe = from_object(Probe, {"exec": {"command": ["sleep", "60"]}})
    answer = await handlers(runtime).probe(target(container_id), probe, 0.05)
    assert answer.outcome == "failure"
    assert answer.message.startswith('command timed out: "sleep 60"')


@pytest.mark.parametrize(
    "probe",
    [
        {"exec": {"command": ["x"]}},  # there is no such container
        {"httpGet": {"port": "nameless"}},
        {"tcpSocket": {"port": "nameless"}},
        {},
    ],
)
async def test_what_cannot_be_asked_says_nothing(probe: dict[str, Any]) -> None:
    """10.5: the kubelet throws such results away."""
    assert (await ask(probe)).outcome == "unknown"


async def test_hook_that_cannot_be_run_has_failed() -> None:
    hook = from_object(LifecycleHandler, {"exec": {"command": ["x"]}})
    assert not (await handlers().hook(target(), hook, 1.0)).is_success


async def run_hook(hook: dict[str, Any], seconds: float = 5.0) -> Answer:
    return await handlers().hook(target(), from_object(LifecycleHandler, hook), seconds)


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "503 Busy"])
async def test_hook_is_content_with_any_http_answer(status: str) -> None:
    """10.6."""
    web = Web(status)
    async with serving(web) as port:
        assert await run_hook({"httpGet": {"port": port, "path": "/bye"}}) == Answer("success")
    assert web.asked.startswith(b"GET /bye HTTP/1.1\r\n")
    assert b"User-Agent: kube-lifecycle/1.33\r\n" in web.asked


async def test_hook_fails_where_nobody_answers() -> None:
    """10.6."""
    async with serving(_hang) as port:
        assert (await run_hook({"httpGet": {"port": port}}, 0.2)).outcome == "failure"
    assert (await run_hook({"httpGet": {"port": port}})).outcome == "failure"
    assert (await run_hook({"httpGet": {"port": "nameless"}})).outcome == "failure"


class OldWeb(Web):
    """Speaks HTTP where it is spoken to by TLS, as servers do."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        if first == b"\x16":
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return
        await super().__call__(reader, writer)


async def test_hook_by_https_of_a_server_of_http_falls_back() -> None:
    """10.6: and does not tell its secret in the clear."""
    web = OldWeb("500 Internal Server Error")
    secret = {"name": "Authorization", "value": "Bearer x"}
    action = {"scheme": "HTTPS", "path": "/bye", "httpHeaders": [secret]}
    async with serving(web) as port:
        answer = await run_hook({"httpGet": {"port": port, **action}})
        assert not (await ask({"httpGet": {"port": port, **action}})).is_success  # a probe does not
    told = f"request to HTTPS lifecycle hook {HOST}:{port} got HTTP response, "
    assert answer == Answer("warning", f"{told}retry with HTTP succeeded")
    assert web.asked.startswith(b"ET /bye HTTP/1.1\r\n")
    assert b"authorization" not in web.asked.lower()


async def test_hook_by_https_of_what_speaks_neither_fails() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff\x00 hello\r\n\r\n")
        await writer.drain()

    async with serving(babble) as port:
        answer = await run_hook({"httpGet": {"port": port, "scheme": "HTTPS"}})
    assert answer.outcome == "failure"


async def test_no_hook_is_run_by_tcp() -> None:
    """10.6."""
    async with serving(_hang) as port:
        answer = await run_hook({"tcpSocket": {"port": port}})
    assert answer == Answer("failure", "invalid handler")


async def test_hook_that_sleeps_does_so_no_longer_than_it_may() -> None:
    """10.6."""
    hook = from_object(LifecycleHandler, {"sleep": {"seconds": 60}})
    began = time.monotonic()
    assert (await handlers().hook(target(), hook, 0.05)).is_success
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("port", [0, 70_000, "x", "0", "70000"])
def test_port_that_is_none(port: int | str) -> None:
    assert port_of(target().spec, port) is None
