"""Nobody can be asked without a certificate, and nobody's answer is believed as it is."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cluster import certificates
from cluster.probe import ApiProbe
from cluster.topology import Certificates


@contextmanager
def answering(made: Certificates, body: bytes) -> Iterator[str]:
    """An HTTPS server with the API server's certificate; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(made.apiserver.certificate, made.apiserver.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def delete(path: str) -> None:
    Path(path).unlink()


async def test_certificates_that_somebody_has_deleted_end_no_launcher(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path)
    with answering(made, b"ok") as address:
        api = ApiProbe(address, made.admin)
        assert await api.is_ready()
        delete(made.admin.key)
        assert not await api.is_ready()
        delete(made.admin.authority)
        assert not await api.is_led("x", 0.0)


def lease(renewed: str) -> bytes:
    spec = f'"holderIdentity":"a","leaseDurationSeconds":15,"renewTime":"{renewed}"'
    return b'{"spec":{%b}}' % spec.encode()


@pytest.mark.parametrize(
    ("body", "is_led"),
    [
        (lease("1970-01-01T00:01:00Z"), True),
        (lease("1970-01-01T00:00:30Z"), False),
        (lease("then"), False),
        (b'{"spec":5}', False),
        (b"[]", False),
        (b"", False),
    ],
)
async def test_a_lease_is_somebodys_for_its_time_and_what_is_none_is_nobodys(
    tmp_path: Path, body: bytes, *, is_led: bool
) -> None:
    """60 s after the epoch."""
    made = certificates.ensure(tmp_path)
    with answering(made, body) as address:
        assert await ApiProbe(address, made.admin).is_led("x", 60.0) is is_led
