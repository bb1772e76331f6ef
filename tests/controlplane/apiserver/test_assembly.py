"""A server that cannot serve says why, and what to do."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from controlplane.apiserver.assembly import Assembly
from controlplane.flags import SettingsError
from kvstore.client import Client, connect
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.conftest import settings
from tests.controlplane.test_tokens import pair, private_pem


def no_url(url: str) -> None:
    raise AssertionError(f"it serves {url}")


async def fault(client: Client, member: ClusterProcesses, host: str, port: int) -> str:
    chosen = msgspec.structs.replace(settings(tuple(member.endpoints)), host=host, port=port)
    with pytest.raises(SettingsError) as caught:
        await Assembly(chosen, client).run(no_url)
    return str(caught.value)


async def test_a_port_that_is_taken_is_told(client: Client, member: ClusterProcesses) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = await fault(client, member, "127.0.0.1", port)
    assert told == (
        f"--secure-port: port {port} of 127.0.0.1 is in use by another program: stop it, "
        "or name another"
    )


async def test_an_address_of_another_machine_is_told(
    client: Client, member: ClusterProcesses
) -> None:
    told = await fault(client, member, "192.0.2.1", 0)
    assert told == "--bind-address: this machine has no address 192.0.2.1"


class Cutting:
    """A way to a member which is cut, a few times, when certain bytes come along."""

    def __init__(self, endpoint: str, word: bytes, times: int) -> None:
        self._host, _, port = endpoint.rpartition(":")
        self._port = int(port)
        self._word = word
        self.left = times

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._host, self._port)
        back = asyncio.create_task(self._pump(there[0], writer))
        await self._pump(reader, there[1])
        back.cancel()
        for one in (writer, there[1]):
            one.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.left and self._word in data:
                    self.left -= 1
                    return
                writer.write(data)


async def test_a_store_that_falls_away_while_it_starts_is_waited_for(
    member: ClusterProcesses,
) -> None:
    """It may not end: all that would come of it is another one, which starts later."""
    cutting = Cutting(member.endpoints[0], b"/registry/core/namespaces/kube-public", 2)
    announced = asyncio.get_running_loop().create_future()
    async with await asyncio.start_server(cutting.pass_on, "127.0.0.1", 0) as server:
        endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect([endpoint]) as client:
            assembly = Assembly(settings((endpoint,)), client)
            running = asyncio.create_task(assembly.run(announced.set_result))
            await asyncio.wait([running, announced], return_when=asyncio.FIRST_COMPLETED)
            assert announced.done(), running.exception()
            running.cancel()
            await asyncio.wait([running])
    assert cutting.left == 0


def test_the_process_says_so_in_a_line_and_ends_with_2(
    member: ClusterProcesses, tmp_path: Path
) -> None:
    key = tmp_path / "tokens.key"
    key.touch(mode=0o600)
    key.write_bytes(private_pem(pair("p256")))
    with socket.create_server(("127.0.0.1", 0)) as other:
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "controlplane", "apiserver"),
                f"--store-endpoints={','.join(member.endpoints)}",
                f"--service-account-signing-key-file={key}",
                f"--secure-port={other.getsockname()[1]}",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 2
    assert "controlplane apiserver: --secure-port: port" in ended.stderr
    assert "Traceback" not in ended.stderr
