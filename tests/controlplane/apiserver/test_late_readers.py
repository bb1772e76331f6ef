"""Whoever pages through what a pod says has all of it, however late it is read: also the end, which
comes while nobody reads.
"""

import asyncio
import socket
import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from controlplane import upgrades
from controlplane.apiserver import delivery
from controlplane.apiserver.call import Deliver, Outgoing, Sink, Streaming
from controlplane.apiserver.http import HttpServer
from controlplane.apiserver.incoming import Incoming
from controlplane.apiserver.metrics import Metrics
from controlplane.apiserver.watches import framed
from controlplane.node import links
from controlplane.streams.channels import ERROR, STDOUT, ChannelClient
from controlplane.upgrades import call
from kvstore.client import Client
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.pods_that_run import pods_that_run
from tests.controlplane.node.test_server import WEBSOCKET, narrow

WAIT_SECONDS_MAX = 60.0
SHORT_SECONDS = 0.1
UNDER_WAY = "apiserver_longrunning_requests 1"
SAID_BYTES = 420_000
"""What the buffers of a client, of the API server and of an agent hold, so that whoever says it has
long ended when the client begins to read."""


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not wait for a late reader cuts him off soon."""
    monkeypatch.setattr(upgrades, "FLUSH_SECONDS_MAX", SHORT_SECONDS)
    monkeypatch.setattr(links, "LINGER_SECONDS", SHORT_SECONDS)
    monkeypatch.setattr(upgrades, "notice_dead_peer", narrow)
    monkeypatch.setattr(delivery, "notice_dead_peer", narrow)


@pytest.mark.usefixtures("hurry")
async def test_a_command(client: Client, member: ClusterProcesses, tmp_path: Path) -> None:
    """10.7."""
    async with pods_that_run(client, member, tmp_path) as pods:
        await pods.add("web", {"main": ("sleep", "1000")})
        words = ("sh", "-c", f"head -c {SAID_BYTES} /dev/zero; exit 3")
        query = "&".join(f"command={quote(word)}" for word in words)
        path = f"/api/v1/namespaces/{pods.namespace}/pods/web/exec?stdout=1&{query}"
        url, trusting = urlsplit(pods.api.url), ssl.create_default_context()
        trusting.load_verify_locations(tmp_path / "ca.crt")
        assert url.hostname is not None
        assert url.port is not None
        asked = [*WEBSOCKET, ("Authorization", "Bearer admin")]
        answered = await call((url.hostname, url.port), trusting, "GET", path, asked)
        assert answered.status == 101
        answered.reader._transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while [one.process.returncode for one in pods.runtime.sessions] != [3]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for _ in range(20):
            await asyncio.sleep(SHORT_SECONDS)
            assert UNDER_WAY in (await pods.api.ask("GET", "/metrics")).raw.decode()
        answered.reader._transport.resume_reading()  # type: ignore[attr-defined]
        channels = ChannelClient(lambda: b"mask")
        found: list[tuple[int, bytes]] = []
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while ERROR not in dict(found) and (data := await answered.reader.read(65_536)):
                found += channels.receive(data)
        assert sum(len(data) for channel, data in found if channel == STDOUT) == SAID_BYTES
        assert b'"message":"3"' in dict(found)[ERROR]
        answered.writer.close()


@pytest.mark.usefixtures("hurry")
async def test_a_log() -> None:
    """10.7."""
    said = bytes(SAID_BYTES)

    async def run(sink: Sink) -> None:
        sink.write(framed(said))

    async def serve(_: Incoming, __: Deliver) -> Outgoing:
        return Streaming(run=run, stalled_seconds_max=WAIT_SECONDS_MAX)

    metrics = Metrics()
    server = HttpServer(serve, None, metrics)
    port = await server.listen("127.0.0.1", 0)
    try:
        client = socket.socket()
        narrow(client, may_pause=False)
        client.connect(("127.0.0.1", port))
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while UNDER_WAY not in metrics.text().decode():  # noqa: ASYNC110 (the server's)
                await asyncio.sleep(0.01)
            for _ in range(10):
                await asyncio.sleep(SHORT_SECONDS)
                assert UNDER_WAY in metrics.text().decode()
            reader, writer = await asyncio.open_connection(sock=client)
            found = await reader.read(-1)
        assert found.endswith(framed(said) + b"0\r\n\r\n")
        writer.close()
    finally:
        await server.close()
