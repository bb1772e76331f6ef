"""Certificates: SSL contexts for the peer port and for the client port.

Files are read once, at the start; every fault in them is a ConfigError that names the flag. Who a
certificate belongs to is judged here, too; which host names count is the caller's knowledge.
"""

import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kvstore.errors import ConfigError
from kvstore.server.config import TlsFiles
from kvstore.urls import parse_known_url

# What `ssl.SSLSocket.getpeercert` gives.
PeerCertificate = dict[str, Any]


class PeerTls(msgspec.Struct, frozen=True):
    """Both ends of the peer port, and whom it lets in besides checking the chain.

    `server` is None when this member listens without TLS and only calls others with it.
    """

    server: ssl.SSLContext | None
    client: ssl.SSLContext
    allowed_cn: str = ""
    allowed_hostname: str = ""
    is_san_checked: bool = True


def load_front(files: TlsFiles) -> ssl.SSLContext:
    """The context of the client port: `--cert-file --key-file --trusted-ca-file`."""
    context = _server_context(files, "")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def load_peers(files: TlsFiles | None) -> PeerTls:
    """Contexts for the peer port; without files others are checked against the system's CAs."""
    files = files or TlsFiles()
    return PeerTls(
        server=_server_context(files, "peer-") if files.cert_file else None,
        client=_client_context(files),
        allowed_cn=files.allowed_cn,
        allowed_hostname=files.allowed_hostname,
        is_san_checked=files.is_san_checked,
    )


def load_peers_for(files: TlsFiles | None, urls: Iterable[str]) -> PeerTls | None:
    """Contexts for a peer port among members with these URLs; None if nothing asks for TLS.

    Files that are given are enough: a member whose URL is https may come later.
    """
    is_used = files is not None or any(parse_known_url(url).is_tls for url in urls)
    return load_peers(files) if is_used else None


def _server_context(files: TlsFiles, prefix: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_pair(context, files, prefix)
    _load_ca(context, files, prefix)
    if files.is_client_cert_required:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _client_context(files: TlsFiles) -> ssl.SSLContext:
    """Checks the server's chain and that the certificate is good for the host called."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.cert_file:
        _load_pair(context, files, "peer-")
    if files.trusted_ca_file:
        _load_ca(context, files, "peer-")
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _load_pair(context: ssl.SSLContext, files: TlsFiles, prefix: str) -> None:
    cert_flag, key_flag = f"--{prefix}cert-file", f"--{prefix}key-file"
    _require_certificates(cert_flag, files.cert_file)
    _require_key(key_flag, files.key_file)
    try:
        context.load_cert_chain(files.cert_file, files.key_file)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{cert_flag} {files.cert_file} and {key_flag} {files.key_file} do not fit together:"
            f" {_reason(error)}"
        ) from None


def _load_ca(context: ssl.SSLContext, files: TlsFiles, prefix: str) -> None:
    if not files.trusted_ca_file:
        return
    flag = f"--{prefix}trusted-ca-file"
    _require_certificates(flag, files.trusted_ca_file)
    try:
        context.load_verify_locations(files.trusted_ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"{flag} {files.trusted_ca_file}: {_reason(error)}") from None


def _require_certificates(flag: str, path: str) -> None:
    # Not above, here and below: it is a third of a member's start, and most need none of it.
    from cryptography import x509  # noqa: PLC0415

    try:
        x509.load_pem_x509_certificates(_read(flag, path))
    except ValueError:
        raise ConfigError(f"{flag} {path} holds no certificate in PEM form") from None


def _require_key(flag: str, path: str) -> None:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        serialization.load_pem_private_key(_read(flag, path), password=None)
    except TypeError:
        # Without this OpenSSL would ask for the passphrase on the terminal.
        raise ConfigError(f"{flag} {path} is encrypted: give a key without a passphrase") from None
    except ValueError:
        raise ConfigError(f"{flag} {path} holds no private key in PEM form") from None


def _read(flag: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{flag} {path} cannot be read: {error.strerror}") from None


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def refusal_of_client(
    tls: PeerTls, certificate: PeerCertificate | None, hosts: Sequence[str]
) -> str | None:
    """Why a member's certificate is not taken; None = it is.

    `certificate` is None when none was asked for (`--peer-client-cert-auth` is off). Its chain has
    been verified; `hosts` are those of the peer URLs of the member that it claims to be.
    """
    if certificate is None:
        return None
    common_name = _common_name(certificate)
    if tls.allowed_cn and common_name != tls.allowed_cn:
        return f"its common name is {common_name!r}, not {tls.allowed_cn!r}"
    if tls.allowed_hostname and not _is_good_for(certificate, tls.allowed_hostname):
        return f"it is not good for {tls.allowed_hostname}"
    if tls.is_san_checked and not any(_is_good_for(certificate, host) for host in hosts):
        return f"it is not good for {', '.join(hosts)}"
    return None


def refusal_of_server(tls: PeerTls, certificate: PeerCertificate | None) -> str | None:
    """The same for a member that we call (its host name was checked by the handshake), and for a
    stranger that calls us (it has no peer URLs yet)."""
    return refusal_of_client(msgspec.structs.replace(tls, is_san_checked=False), certificate, ())


def _common_name(certificate: PeerCertificate) -> str:
    for names in certificate.get("subject", ()):
        for key, value in names:
            if key == "commonName":
                return str(value)
    return ""


def _is_good_for(certificate: PeerCertificate, host: str) -> bool:
    """Match a host against the alternative names (RFC 6125: never the common name)."""
    try:
        wanted = ipaddress.ip_address(host)
    except ValueError:
        names = [str(v) for k, v in certificate.get("subjectAltName", ()) if k == "DNS"]
        return any(_is_name_match(name.lower(), host.lower()) for name in names)
    addresses = [
        str(v).strip() for k, v in certificate.get("subjectAltName", ()) if k == "IP Address"
    ]
    return any(ipaddress.ip_address(address) == wanted for address in addresses)


def _is_name_match(pattern: str, host: str) -> bool:
    """A `*` stands for exactly the leftmost label."""
    if pattern.startswith("*."):
        label, _, rest = host.partition(".")
        return bool(label) and rest == pattern[2:]
    return pattern == host
