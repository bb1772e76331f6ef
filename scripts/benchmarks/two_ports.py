"""A member that serves its clients twice: in plain text, and with TLS one port further."""

import subprocess
from pathlib import Path

from kvstore.testing.processes import KEELSON, MemberProcess


class TwoPorts(MemberProcess):
    """Call `make_certificate` before it starts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(KEELSON, "m1", folder)
        self._folder = folder

    @property
    def tls_endpoint(self) -> str:
        """Where it serves with TLS, `host:port`."""
        return f"127.0.0.1:{self.client_port + 1}"

    def command(self, initial_cluster: str) -> list[str]:
        """The last of two equal flags counts."""
        urls = f"--listen-client-urls={self.client_url},https://{self.tls_endpoint}"
        return [*super().command(initial_cluster), urls]

    def make_certificate(self) -> None:
        """A self-signed one, good for a day."""
        certificate, key = self._folder / "member.crt", self._folder / "member.key"
        request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1")
        names = ("-subj", "/CN=127.0.0.1", "-keyout", str(key), "-out", str(certificate))
        subprocess.run(["openssl", *request, *names], check=True, capture_output=True)
        self.flags = (*self.flags, f"--cert-file={certificate}", f"--key-file={key}")
