"""The front on a TLS port: who may connect."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from kvstore.errors import ConfigError
from kvstore.pb import health_pb2
from kvstore.server import health
from kvstore.server.call import Service
from kvstore.server.config import TlsFiles
from kvstore.server.front import Front
from kvstore.server.tls import load_front
from kvstore.urls import parse_url
from tests.kvstore.server.certificates import Authority

SERVICE = Service(health.HealthService(), health.METHODS)
HEALTH = "/grpc.health.v1.Health/Check"
SERVING = health_pb2.HealthCheckResponse.SERVING


async def test_https_needs_a_certificate() -> None:
    with pytest.raises(ConfigError, match="--cert-file"):
        await Front([SERVICE], [parse_url("https://127.0.0.1:0")]).start()


def _pem_of(pair: TlsFiles | None) -> tuple[bytes | None, bytes | None]:
    if pair is None:
        return None, None
    return Path(pair.key_file).read_bytes(), Path(pair.cert_file).read_bytes()


async def test_a_client_without_a_valid_certificate_of_our_ca_is_refused(tmp_path: Path) -> None:
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    ours, stranger = authority.issue("server"), foreign.issue("stranger")
    expired = authority.issue("expired", expires_in=timedelta(hours=-1))
    front = Front([SERVICE], [parse_url("https://127.0.0.1:0")], load_front(ours))
    await front.start()
    ca = authority.ca_file.read_bytes()

    async def check(pair: TlsFiles | None) -> bytes:
        credentials = grpc.ssl_channel_credentials(ca, *_pem_of(pair))
        address = f"127.0.0.1:{front.ports[0]}"
        async with grpc.aio.secure_channel(address, credentials) as channel:
            call: Any = channel.unary_unary(HEALTH, lambda request: request, lambda data: data)
            response: bytes = await call(b"")
        return response

    assert health_pb2.HealthCheckResponse.FromString(await check(ours)).status == SERVING
    for pair in (None, stranger, expired):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(pair)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    # Whoever was refused has harmed nobody.
    assert health_pb2.HealthCheckResponse.FromString(await check(ours)).status == SERVING
    await front.stop()
