"""A store member and an API server over it, mutual TLS on both, on ports that are free."""

import contextlib
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.http_client import Site
from benchmarks.two_ports import TwoPorts
from cluster import certificates
from cluster.topology import Certificates
from kvstore.testing.processes import KEELSON, ClusterProcesses

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
_POLL_SECONDS = 0.05


class Servers(msgspec.Struct, frozen=True):
    """What is measured: where it is, as administrator, and its processes."""

    site: Site
    api_pid: int
    store_pid: int


class ServerStartError(Exception):
    """The API server ended, or was not ready in time; with the end of its log."""


class _SecureMember(TwoPorts):
    """Asks those who come by TLS for certificates; its plain port only says that it is ready."""

    def use(self, own: Certificates) -> None:
        self.flags = (
            *self.flags,
            "--client-cert-auth",
            f"--trusted-ca-file={own.member.authority}",
            f"--cert-file={own.member.certificate}",
            f"--key-file={own.member.key}",
        )


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Servers]:
    """Both, until the end. Raises MemberStartError, ServerStartError."""
    own = certificates.ensure(folder / "certificates")
    cluster = ClusterProcesses(KEELSON, folder / "store")
    member = _SecureMember(folder / "store")
    member.use(own)
    cluster.members = [member]
    with cluster, _api_server(folder / "apiserver.log", own, member.tls_endpoint) as process:
        url = _url(process, folder / "apiserver.log")
        host, _, port = url.removeprefix("https://").rpartition(":")
        context = ssl.create_default_context(cafile=own.admin.authority)
        context.load_cert_chain(own.admin.certificate, own.admin.key)
        yield Servers(Site(host, int(port), context), process.pid, member.pid)


@contextlib.contextmanager
def _api_server(
    log_path: Path, own: Certificates, store_endpoint: str
) -> Iterator["subprocess.Popen[bytes]"]:
    command = [
        *(sys.executable, "-m", "controlplane", "apiserver", "--secure-port=0"),
        f"--store-endpoints={store_endpoint}",
        f"--store-cafile={own.apiserver_store.authority}",
        f"--store-certfile={own.apiserver_store.certificate}",
        f"--store-keyfile={own.apiserver_store.key}",
        f"--tls-cert-file={own.apiserver.certificate}",
        f"--tls-private-key-file={own.apiserver.key}",
        f"--client-ca-file={own.admin.authority}",
        f"--service-account-signing-key-file={own.service_account_key}",
    ]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS_MAX)
        process.kill()
        process.wait()


def _url(process: "subprocess.Popen[bytes]", log_path: Path) -> str:
    """Wait until it says where it serves."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        text = log_path.read_text(errors="replace")
        for line in text.splitlines():
            if line.startswith("serving "):
                return line.split()[1]
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerStartError(f"the API server does not serve:\n{text[-2_000:]}")
        time.sleep(_POLL_SECONDS)
