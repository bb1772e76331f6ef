"""TLS material of a client: bytes of PEM files, nothing of a transport."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Tls:
    """Whom to trust (`ca`; None: the system's roots) and who we are (`certificate`, `key`)."""

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    server_name: str | None = None  # the name in the server's certificate, when it is not the host

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            raise ValueError("a client certificate needs its key, and a key its certificate")

    @classmethod
    def from_files(
        cls,
        ca: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        *,
        server_name: str | None = None,
    ) -> Self:
        """Read PEM files, once."""

        def read(path: str | None) -> bytes | None:
            return None if path is None else Path(path).read_bytes()

        return cls(read(ca), read(certificate), read(key), server_name)
