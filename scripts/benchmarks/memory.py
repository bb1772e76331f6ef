"""Memory: a member full of keys beside etcd's, and what a connection costs that only waits."""

import asyncio
import ssl
import tempfile
from pathlib import Path

import uvloop

from benchmarks import attacks, fill, observe
from benchmarks.fill import Writer
from benchmarks.two_ports import TwoPorts
from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses

_CONNECTIONS = 1_000
_KIB_PER_MIB = 1024


def run(keys: int) -> None:
    """Print both."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for label, program in (("etcd", ETCD), ("ours", KEELSON)):
            with ClusterProcesses(program, Path(name) / label) as cluster:
                member = cluster.members[0]
                uvloop.run(_fill(member.endpoint, keys))
                rss = observe.rss_mib(member.pid)
                print(f"{label}: RSS {rss:.0f} MiB with {keys} keys of 256 B", flush=True)
        folder = Path(name) / "connections"
        cluster = ClusterProcesses(KEELSON, folder)
        two_ports = TwoPorts(folder)
        two_ports.make_certificate()
        cluster.members = [two_ports]
        with cluster:
            uvloop.run(_connect(two_ports))


async def _fill(endpoint: str, keys: int) -> None:
    writer = await Writer.open(endpoint)
    await writer.send_all(fill.key_puts(range(keys)))
    assert writer.failed == 0, f"{writer.failed} puts failed"
    writer.close()


async def _connect(member: TwoPorts) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    trusting.set_alpn_protocols(["h2"])
    ports = (("plain", member.endpoint, None), ("TLS", member.tls_endpoint, trusting))
    for label, endpoint, tls in ports:
        # The first ones pay for what is loaded once.
        first = [await attacks.Raw.open(endpoint, tls=tls) for _ in range(10)]
        for raw in first:
            await raw.quiet()
        before = observe.rss_mib(member.pid)
        waiting = [await attacks.Raw.open(endpoint, tls=tls) for _ in range(_CONNECTIONS)]
        await asyncio.gather(*(raw.quiet() for raw in waiting))
        assert not any(raw.is_closed for raw in waiting), "the member hung up"
        each = (observe.rss_mib(member.pid) - before) * _KIB_PER_MIB / _CONNECTIONS
        print(f"{_CONNECTIONS} idle {label} connections: {each:.1f} KiB each", flush=True)
