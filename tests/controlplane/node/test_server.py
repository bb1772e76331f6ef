"""The node's server by itself: who may ask, what a client that does not behave costs, and that
nothing is left when it goes. kube-behaviour 10.7.
"""

import asyncio
import contextlib
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest

from controlplane import upgrades
from controlplane.node import commands, links, server
from controlplane.node.inlets import INLET_BYTES_MAX
from controlplane.node.measuring import Measuring
from controlplane.node.runtime.interface import ContainerConfig, SandboxConfig
from controlplane.node.server import NodeServer, server_tls
from controlplane.streams import spdy
from controlplane.streams.channels import ERROR, STDIN, STDOUT, ChannelClient
from controlplane.streams.spdy import Spdy
from controlplane.upgrades import Answered, call
from tests.controlplane.node.certificates import Authority, Files
from tests.controlplane.node.subprocess_runtime import SubprocessRuntime, entry

WAIT_SECONDS_MAX = 60.0
WEBSOCKET = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"),
]
SPDY = [
    ("Connection", "Upgrade"),
    ("Upgrade", "SPDY/3.1"),
    ("X-Stream-Protocol-Version", "v4.channel.k8s.io"),
]
EXEC = "/exec/shop/web/main?output=1&"


class Node:
    """A server with one pod `shop/web`, whose container `main` sleeps."""

    def __init__(self, runtime: SubprocessRuntime, serving: NodeServer, port: int) -> None:
        self.runtime = runtime
        self.server = serving
        self.place = ("127.0.0.1", port)

    async def ask(self, path: str, headers: list[tuple[str, str]], method: str = "GET") -> Answered:
        return await call(self.place, None, method, path, headers)

    async def exec(self, *command: str, query: str = "") -> "Exec":
        words = "&".join(f"command={word}" for word in command)
        answered = await self.ask(f"{EXEC}{query}&{words}", WEBSOCKET)
        assert answered.status == 101
        return Exec(answered)


class Exec:
    """A client of a command, by WebSocket."""

    def __init__(self, answered: Answered) -> None:
        self.reader, self.writer = answered.reader, answered.writer
        self.channels = ChannelClient(lambda: b"mask")

    async def write(self, channel: int, data: bytes) -> None:
        self.channels.write(channel, data)
        self.writer.write(self.channels.take())
        await self.writer.drain()

    async def hear(self) -> list[tuple[int, bytes]]:
        """All messages until the end."""
        found: list[tuple[int, bytes]] = []
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while data := await self.reader.read(65_536):
                found += self.channels.receive(data)
                if any(channel == ERROR for channel, _ in found):
                    break
        return found


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[SubprocessRuntime]:
    found = SubprocessRuntime(tmp_path)
    config = SandboxConfig(
        name="web", namespace="shop", uid="u-1", log_folder=str(tmp_path / "logs")
    )
    sandbox = await found.run_sandbox(config)
    container = ContainerConfig(
        name="main", attempt=0, image="none", command=("sleep", "1000"), log_path="main/0.log"
    )
    await found.start_container(await found.create_container(sandbox, container))
    yield found
    await found.close()


@pytest.fixture
async def node(runtime: SubprocessRuntime) -> AsyncIterator[Node]:
    serving = NodeServer(runtime, Measuring("node", runtime), tls=None, clients=())
    yield Node(runtime, serving, await serving.listen("127.0.0.1", 0))
    await serving.close()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not is_so():  # noqa: ASYNC110 (of processes and other tasks)
            await asyncio.sleep(0.01)


async def fill(write: Callable[[], Awaitable[None]]) -> int:
    """Write parts of 64 KiB until nobody takes more; the bytes that were taken."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 300 * INLET_BYTES_MAX:
            async with asyncio.timeout(1.0):
                await write()
            sent += 64 * 1024
    return sent


# ------------------------------------------------------------------------- who may ask


async def test_only_the_api_server_may_ask(runtime: SubprocessRuntime, tmp_path: Path) -> None:
    """Not who has no certificate, one of another authority, or one that is somebody else's."""
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    own = authority.issue("node")
    serving = NodeServer(
        runtime,
        Measuring("node", runtime),
        tls=server_tls(own.certificate, own.key, authority.path),
        clients=["api-server"],
    )
    port = await serving.listen("127.0.0.1", 0)
    try:
        assert await _health(port, authority, authority.issue("api-server")) == 200
        assert await _health(port, authority, authority.issue("mallory")) == 403
        for shown in (None, other.issue("api-server")):
            with pytest.raises((aiohttp.ClientError, OSError)):
                await _health(port, authority, shown)
    finally:
        await serving.close()


async def _health(port: int, authority: Authority, shown: Files | None) -> int:
    tls = ssl.create_default_context(cafile=authority.path)
    if shown is not None:
        tls.load_cert_chain(shown.certificate, shown.key)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"https://127.0.0.1:{port}/healthz", ssl=tls) as response,
    ):
        return response.status


# ----------------------------------------------------------------- what cannot be done


@pytest.mark.parametrize(
    ("path", "headers", "status", "told"),
    [
        ("/exec/shop/none/main?output=1&command=x", WEBSOCKET, 404, "pod does not exist"),
        ("/exec/shop/web/none?output=1&command=x", WEBSOCKET, 404, 'container not found ("none")'),
        ("/exec/shop/web/main?output=1&uid=other&command=x", WEBSOCKET, 404, "pod does not exist"),
        ("/exec/shop/web/main?command=x", WEBSOCKET, 400, "at least 1 of stdin, stdout, stderr"),
        (EXEC, WEBSOCKET, 400, "at least 1 command"),
        (f"{EXEC}command=x", [], 400, "Upgrade request required"),
        (f"{EXEC}command=x", [*WEBSOCKET[:2], *WEBSOCKET[3:]], 400, "a WebSocket of version 13"),
        (f"{EXEC}command=x", [WEBSOCKET[0], ("Upgrade", "h2c")], 400, "no protocol 'h2c' is known"),
        (
            f"{EXEC}command=x",
            [*SPDY[:2], ("X-Stream-Protocol-Version", "v9"), ("X-Stream-Protocol-Version", "v8")],
            403,
            "client supports [v9 v8], server accepts [v4.channel.k8s.io]",
        ),
        ("/containerLogs/shop/web/none", [], 404, 'container "none" has no log'),
        ("/containerLogs/shop/web/main?tailLines=x", [], 400, "a number, please"),
        ("/portForward/shop/none", SPDY, 404, "pod does not exist"),
    ],
)
async def test_what_cannot_be_done(
    node: Node, path: str, headers: list[tuple[str, str]], status: int, told: str
) -> None:
    answered = await node.ask(path, headers)
    length = int(answered.headers["content-length"])
    body = await answered.reader.readexactly(length)
    answered.writer.close()
    assert (answered.status, told in body.decode()) == (status, True), body


async def test_only_so_many_streams_are_served(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STREAMS_MAX", 1)
    first = await node.exec("sleep", "1000")
    refused = await node.ask(f"{EXEC}command=true", WEBSOCKET)
    assert refused.status == 429
    first.writer.close()
    refused.writer.close()
    await until(lambda: not node.server.streams)
    last = await node.exec("true")
    await last.hear()


# ------------------------------------------------------------- clients and their habits


async def test_a_command_ends_with_its_client(node: Node) -> None:
    client = await node.exec("sleep", "1000")
    await until(lambda: bool(node.runtime.sessions))
    process = node.runtime.sessions[-1].process
    assert process.returncode is None
    client.writer.transport.abort()
    await until(lambda: process.returncode is not None)
    await until(lambda: not node.server.streams)


async def test_commands_end_with_their_server(node: Node) -> None:
    client = await node.exec("sleep", "1000")
    await until(lambda: bool(node.runtime.sessions))
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await node.server.close()
    assert node.runtime.sessions[-1].process.returncode is not None
    client.writer.close()


async def test_a_client_that_reads_nothing_costs_a_bounded_amount(node: Node) -> None:
    """The command waits, as it does at a full pipe."""
    client = await node.exec("sh", "-c", "yes%20%7C%20head%20-c%20300000000")
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: bool(node.runtime.sessions))
    tracemalloc.start()
    try:
        await asyncio.sleep(1.0)  # so long it could have written all of it
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
    assert node.runtime.sessions[-1].process.returncode is None
    client.writer.transport.abort()


async def test_a_command_that_reads_nothing_costs_a_bounded_amount(node: Node) -> None:
    client = await node.exec("sleep", "1000", query="input=1")
    sent = await fill(lambda: client.write(STDIN, bytes(64 * 1024)))
    assert sent < 150 * INLET_BYTES_MAX, "what a kernel keeps of a connection, and an inlet"
    client.writer.transport.abort()


async def test_a_client_that_leaves_a_command_that_reads_nothing_is_noticed(node: Node) -> None:
    """Its end comes behind all that it has sent and nobody reads."""
    client = await node.exec("sleep", "1000", query="input=1")
    await until(lambda: bool(node.runtime.sessions))
    await fill(lambda: client.write(STDIN, bytes(64 * 1024)))
    assert node.server.streams == 1
    client.writer.transport.abort()
    await until(lambda: node.runtime.sessions[-1].process.returncode is not None)
    await until(lambda: not node.server.streams)


async def test_a_client_that_leaves_a_port_that_reads_nothing_is_noticed(node: Node) -> None:
    gone = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await gone.wait()
        writer.close()

    listening = await asyncio.start_server(listen, "127.0.0.1", 0)
    headers = {"port": str(listening.sockets[0].getsockname()[1]), "requestid": "1"}
    asked = [*SPDY[:2], ("X-Stream-Protocol-Version", "portforward.k8s.io")]
    answered = await node.ask("/portForward/shop/web", asked, "POST")
    peer = Spdy(is_client=True)
    peer.end(peer.open(headers | {"streamtype": "error"}))
    number = peer.open(headers | {"streamtype": "data"})

    async def write() -> None:
        peer.write(number, bytes(64 * 1024))
        answered.writer.write(peer.take())
        await answered.writer.drain()

    await fill(write)
    assert node.server.streams == 1
    answered.writer.transport.abort()
    await until(lambda: not node.server.streams)
    gone.set()
    listening.close()


async def test_a_client_whose_command_reads_late_is_not_disturbed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """… by what it is asked meanwhile."""
    monkeypatch.setattr(links, "PING_SECONDS", 0.05)
    client = await node.exec("sh", "-c", "sleep%201%3B%20wc%20-c", query="input=1")
    writing = asyncio.create_task(client.write(STDIN, bytes(700_000)))
    hearing = asyncio.create_task(client.hear())
    await writing
    client.channels.end_input()
    client.writer.write(client.channels.take())
    assert (STDOUT, b"700000\n") in await hearing


async def test_a_command_that_closes_its_input_is_not_disturbed(node: Node) -> None:
    client = await node.exec(
        "sh", "-c", "exec%20%3C%26-%3B%20sleep%200.3%3B%20echo%20done", query="input=1"
    )
    with contextlib.suppress(ConnectionError):
        for _ in range(40):
            await client.write(STDIN, bytes(64 * 1024))
    found = await client.hear()
    assert (STDOUT, b"done\n") in found
    assert msgspec.json.decode(dict(found)[ERROR])["status"] == "Success"


async def test_what_a_command_said_last_reaches_who_still_speaks(node: Node) -> None:
    """A connection that is closed while something came that nobody has read is reset."""
    client = await node.exec("echo", "done", query="input=1")
    await until(lambda: bool(node.runtime.sessions))
    await node.runtime.sessions[-1].wait()
    client.channels.write(STDIN, bytes(2 * 1024 * 1024))
    client.writer.write(client.channels.take())
    await asyncio.sleep(0.3)
    found = await client.hear()
    assert (STDOUT, b"done\n") in found
    assert ERROR in dict(found)
    client.writer.close()


async def test_whoever_speaks_nonsense_is_told_so_and_cut(node: Node) -> None:
    client = await node.exec("sleep", "1000")
    client.writer.write(b"\xff\xff\xff\xff")
    rest = b""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while b"an extension" not in rest and b"a client masks" not in rest:
            data = await client.reader.read(1_000)
            assert data, rest
            rest += data
    client.writer.close()
    await until(lambda: not node.server.streams)
    asked = [*SPDY[:2], ("X-Stream-Protocol-Version", "portforward.k8s.io")]
    answered = await node.ask("/portForward/shop/web", asked)
    answered.writer.write(b"\xff\xff\xff\xff\xff\xff\xff\xff")
    assert (await answered.reader.read(8))[:4] == b"\x80\x03\x00\x07"  # GOAWAY
    answered.writer.close()


async def test_a_client_that_never_opens_its_streams(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "BEGIN_SECONDS_MAX", 0.2)
    monkeypatch.setattr("controlplane.node.links.LINGER_SECONDS", 0.1)
    answered = await node.ask(f"{EXEC}command=true", SPDY, "POST")
    assert answered.status == 101
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        assert await answered.reader.read() == b""
    answered.writer.close()
    assert not node.runtime.sessions


async def test_whoever_reads_late_has_all_that_was_said_and_the_exit_code(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As who pages through it does, when the command has long ended."""
    monkeypatch.setattr(upgrades, "FLUSH_SECONDS_MAX", 0.1)
    monkeypatch.setattr(links, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(upgrades, "notice_dead_peer", narrow)
    client = await node.exec("sh", "-c", "head%20-c%20120000%20/dev/zero;exit%203")
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: [one.process.returncode for one in node.runtime.sessions] == [3])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until(lambda: not node.server.streams), 1.0)
    client.reader._transport.resume_reading()  # type: ignore[attr-defined]
    found = await client.hear()
    assert sum(len(data) for channel, data in found if channel == STDOUT) == 120_000
    assert [b'"message":"3"' in data for channel, data in found if channel == ERROR] == [True]
    client.writer.close()
    await until(lambda: not node.server.streams)


async def test_whoever_reads_late_has_the_whole_log(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """… and until then it is under way."""
    monkeypatch.setattr(server, "notice_dead_peer", narrow)
    log = node.runtime.running((await node.runtime.list_containers())[0].id).log
    log.write_bytes(entry(b"x" * 999 + b"\n") * 120)
    client = socket.socket()
    narrow(client, may_pause=False)
    client.connect(node.place)
    client.send(b"GET /containerLogs/shop/web/main HTTP/1.0\r\n\r\n")
    await until(lambda: bool(node.server.streams))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(until(lambda: not node.server.streams), 1.0)
    reader, writer = await asyncio.open_connection(sock=client)
    head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    assert head.split()[1] == b"200"
    assert body == (b"x" * 999 + b"\n") * 120
    writer.close()


def narrow(connection: socket.socket, *, may_pause: bool) -> None:
    """The kernel holds little of what is said."""
    for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        connection.setsockopt(socket.SOL_SOCKET, buffer, 4096)


async def test_input_ends_in_spdy_as_in_websocket(node: Node) -> None:
    answered = await node.ask(f"{EXEC}input=1&command=cat", SPDY, "POST")
    peer = Spdy(is_client=True)
    numbers = {kind: peer.open({"streamtype": kind}) for kind in ("error", "stdin", "stdout")}
    peer.write(numbers["stdin"], b"all of it")
    peer.end(numbers["stdin"])
    answered.writer.write(peer.take())
    found: list[spdy.Event] = []
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while spdy.Ended(numbers["error"]) not in found:
            found += peer.receive(await answered.reader.read(65_536))
    answered.writer.close()
    assert spdy.Received(numbers["stdout"], b"all of it") in found


async def test_a_port_that_is_not_reached_keeps_no_other_waiting(node: Node) -> None:
    """Whatever was sent to it is dropped."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        writer.close()

    listening = await asyncio.start_server(echo, "127.0.0.1", 0)
    closed = await asyncio.start_server(echo, "127.0.0.1", 0)
    ports = [one.sockets[0].getsockname()[1] for one in (listening, closed)]
    closed.close()
    await closed.wait_closed()
    asked = [*SPDY[:2], ("X-Stream-Protocol-Version", "portforward.k8s.io")]
    answered = await node.ask("/portForward/shop/web", asked, "POST")
    peer = Spdy(is_client=True)

    def open_(request: int, port: int) -> int:
        headers = {"port": str(port), "requestid": str(request)}
        peer.end(peer.open(headers | {"streamtype": "error"}))
        return peer.open(headers | {"streamtype": "data"})

    peer.write(open_(1, ports[1]), bytes(1024 * 1024))
    second = open_(2, ports[0])
    peer.write(second, b"hello")
    answered.writer.write(peer.take())
    found: list[spdy.Event] = []
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while spdy.Ended(second) not in found:
            found += peer.receive(await answered.reader.read(65_536))
    assert spdy.Received(second, b"hello") in found
    answered.writer.close()
    listening.close()


# ---------------------------------------------------------------------------- what is used


async def test_what_is_used(node: Node) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{node.place[1]}/stats/summary") as response,
    ):
        summary = await response.json()
    assert summary["node"]["nodeName"] == "node"
    assert summary["node"]["memory"]["workingSetBytes"] > 0
    [pod] = summary["pods"]
    assert pod["podRef"] == {"name": "web", "namespace": "shop", "uid": "u-1"}
    [container] = pod["containers"]
    assert container["name"] == "main"
    assert container["memory"]["workingSetBytes"] > 0
