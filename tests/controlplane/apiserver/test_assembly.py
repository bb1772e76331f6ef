"""A server that cannot serve says why, and what to do."""

import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from controlplane.apiserver.assembly import Assembly
from controlplane.flags import SettingsError
from kvstore.client import Client
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
