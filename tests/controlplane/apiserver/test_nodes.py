"""Where agents are, and what an agent that was broken into cannot do."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from controlplane.api.resource import Object
from controlplane.apiserver.nodes import Nodes, RefusalError, client_tls, path_of, place_of
from tests.controlplane.node.certificates import Authority


def node(*addresses: tuple[str, str], port: object = None) -> Object:
    told = [{"type": kind, "address": address} for kind, address in addresses]
    endpoints = {} if port is None else {"kubeletEndpoint": {"Port": port}}
    return {"status": {"addresses": told, "daemonEndpoints": endpoints}}


def test_where_an_agent_listens() -> None:
    both = (("Hostname", "n"), ("InternalIP", "192.0.2.1"))
    assert place_of(node(*both, port=7)) == ("192.0.2.1", 7)
    assert place_of(node(("Hostname", "n"))) == ("n", 10_250)
    for nowhere in (node(), {}, node(*both, port=70_000), node(*both, port="7")):
        assert place_of(nowhere) is None


def test_names_are_no_paths() -> None:
    assert path_of("exec", "a", "../b", "c?d") == "/exec/a/..%2Fb/c%3Fd"


@asynccontextmanager
async def agent(
    folder: Path, status: int, text: str = "", location: str = ""
) -> AsyncIterator[tuple[Nodes, tuple[str, int], list[str]]]:
    """Answers all the same, and notes the paths that it was asked for."""
    authority = Authority(folder)
    own, shown = authority.issue("node"), authority.issue("api-server")
    asked: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path_qs)
        headers = {"Location": location} if location else {}
        return web.Response(status=status, text=text, headers=headers)

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(own.certificate, own.key)
    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    nodes = Nodes(lambda _: None, client_tls(shown.certificate, shown.key, authority.path))
    try:
        yield nodes, ("127.0.0.1", runner.addresses[0][1]), asked
    finally:
        await nodes.close()
        await runner.cleanup()


async def test_nobody_is_sent_elsewhere(tmp_path: Path) -> None:
    """A redirection would have the API server show its certificate to whomever a node names."""
    async with agent(tmp_path, 302, location="/elsewhere") as (nodes, place, asked):
        with pytest.raises(RefusalError) as raised:
            await nodes.open(place, "/containerLogs/a/b/c", [("tailLines", "1")])
        assert raised.value.code == 302
        assert asked == ["/containerLogs/a/b/c?tailLines=1"]


async def test_a_refusal_is_told_with_its_text(tmp_path: Path) -> None:
    async with agent(tmp_path, 400, " why ") as (nodes, place, _):
        with pytest.raises(RefusalError) as raised:
            await nodes.open(place, "/x", ())
        assert (raised.value.code, raised.value.text) == (400, "why")
        with pytest.raises(RefusalError) as raised:
            await nodes.upgrade(place, "GET", "/x", (), [("Connection", "Upgrade")])
        assert (raised.value.code, raised.value.text) == (400, "why")
