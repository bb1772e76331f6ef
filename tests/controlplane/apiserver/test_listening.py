"""Who connects and says nothing (row 2.23 of kube-behaviour.md)."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster import certificates
from controlplane.apiserver import listening
from controlplane.apiserver.call import Deliver
from controlplane.apiserver.http import HttpServer
from controlplane.apiserver.incoming import Answer, Incoming
from controlplane.apiserver.metrics import Metrics
from tests.controlplane.apiserver.test_http import until

WAIT_SECONDS_MAX = 30.0


class Front:
    """An HTTP front that takes two connections, and answers all requests alike."""

    def __init__(self, folder: Path) -> None:
        made = certificates.ensure(folder).apiserver
        self._theirs = ssl.create_default_context(cafile=made.authority)
        self._theirs.check_hostname = False
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(made.certificate, made.key)
        self.http = HttpServer(self._answer, tls, Metrics())
        self.port = 0

    async def _answer(self, incoming: Incoming, deliver: Deliver) -> Answer:
        answer = Answer(body=b"{}")
        await deliver(answer)
        return answer

    async def begin(self) -> None:
        self.port = await self.http.listen("127.0.0.1", 0)
        assert self.http._connections is not None
        self.http._connections._connections_max = 2

    @property
    def metrics(self) -> str:
        return self.http._metrics.text().decode()

    @property
    def count(self) -> int:
        assert self.http._connections is not None
        return self.http._connections.count

    async def is_served(self) -> bool:
        """Whether a client is answered, or cut."""
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self._theirs, server_hostname="localhost"
            )
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                found = await reader.read()
            writer.close()
        except OSError:
            return False
        return found.startswith(b"HTTP/1.1 200 ")

    @contextlib.asynccontextmanager
    async def silent(self) -> AsyncIterator[asyncio.StreamReader]:
        """Somebody who connects, and never says that he wants TLS."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader
        finally:
            writer.transport.abort()


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    made = Front(tmp_path)
    await made.begin()
    yield made
    await made.http.close()


async def test_who_has_not_shaken_hands_is_counted(front: Front) -> None:
    """Files and memory are bounded by the number of connections, whoever they are."""
    assert await front.is_served()
    async with front.silent(), front.silent():
        await until(lambda: front.count == 2)
        assert not await front.is_served()
    await until(lambda: front.count == 0)
    assert await front.is_served()


async def test_who_does_not_shake_hands_is_cut(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS_MAX", 0.2)
    async with front.silent() as reader, asyncio.timeout(WAIT_SECONDS_MAX):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    await until(lambda: front.count == 0)
    assert await front.is_served()


async def test_what_is_no_tls_ends_nobody_else(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        with contextlib.suppress(ConnectionError):
            assert not (await reader.read()).startswith(b"HTTP")
    writer.transport.abort()
    await until(lambda: front.count == 0)
    assert await front.is_served()
    assert not caplog.records


async def test_the_front_closes_while_hands_are_shaken(front: Front) -> None:
    async with front.silent() as reader:
        await until(lambda: front.count == 1)
        await front.http.close()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", front.port)


async def test_a_connection_that_was_closed_twice_is_still_measured(front: Front) -> None:
    """aiohttp may, and asyncio's TLS transport knows nothing of its buffer then."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", front.port, ssl=front._theirs, server_hostname="localhost"
    )
    connections = front.http._connections
    assert connections is not None
    await until(lambda: len(connections._transports) == 1)
    (transport,) = connections._transports.values()
    transport.close()
    transport.close()
    assert "apiserver_unsent_bytes 0" in front.metrics
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        assert await reader.read() == b""
    writer.close()
    await until(lambda: "apiserver_connections 0" in front.metrics)
