"""A cluster's own certificate authorities, and an identity for whoever speaks in it.

Made once per data folder; keys never leave it (mode 0600). There are two authorities, for the store
takes every certificate of its own as one that may read and write all keys: who may ask the API
server must not thereby be one of the store's clients.

They are valid for ten years; what has less than one left, or was made by a clock that was ahead, is
renewed when the cluster is brought up again. An authority keeps its key and name then: whoever
trusted it still knows what it has signed.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster import private_files
from cluster.network import Network, node_names
from cluster.topology import Certificates, TlsFiles

_VALID = datetime.timedelta(days=3650)
_RENEWED_BEFORE_END = datetime.timedelta(days=365)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# How pods reach the API server: the service `kubernetes`.
_API_SERVICE = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


class _Identity(msgspec.Struct, frozen=True):
    """Who a certificate is of. `names`: host names and addresses that it serves at."""

    file: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()
    is_client: bool = True


_STORE_CA, _API_CA = "store-ca", "ca"
_SERVICE_ACCOUNT_KEY = "service-account.key"


def _identities(network: Network, nodes: int) -> dict[str, list[_Identity]]:
    """By authority."""
    store = [
        _Identity("member", "keelson member", names=_LOOPBACK),
        _Identity("store-admin", "root"),
        _Identity("apiserver-store", "system:apiserver"),
        _Identity("controllers", "system:kube-controller-manager"),
        _Identity("scheduler", "system:kube-scheduler"),
        _Identity("proxy", "system:kube-proxy"),
        _Identity("hollow", "system:node:hollow", "system:nodes"),
    ]
    served = (*_LOOPBACK, *_API_SERVICE, network.api_service)
    api = [
        _Identity("apiserver", "kube-apiserver", names=served, is_client=False),
        _Identity("admin", "kubernetes-admin", "system:masters"),
        _Identity("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    ]
    for number, name in enumerate(node_names(nodes), start=1):
        who = f"system:node:{name}"
        at = (name, network.node_address(number))
        store.append(_Identity(f"{name}-agent", who, "system:nodes"))
        api.append(_Identity(f"{name}-server", who, "system:nodes", names=at, is_client=False))
    return {_STORE_CA: store, _API_CA: api}


class UnreadableError(Exception):
    """A file is no certificate or no key; the message says what to do."""


def ensure(
    folder: Path,
    now: datetime.datetime | None = None,
    *,
    network: Network | None = None,
    nodes: int = 0,
) -> Certificates:
    """The certificates in `folder`; what is missing is made, what is near its end, or not valid
    yet, renewed.

    Raises UnreadableError, OSError.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for authority, identities in _identities(network or Network(), nodes).items():
        _ensure_authority(folder, authority, identities, now)
        _ensure_identities(folder, authority, identities, now)
    key = folder / _SERVICE_ACCOUNT_KEY
    if not key.exists():
        private_files.write(key, _pem(ec.generate_private_key(ec.SECP256R1())))

    def files(authority: str, name: str) -> TlsFiles:
        return TlsFiles(
            str(folder / f"{authority}.crt"),
            str(folder / f"{name}.crt"),
            str(folder / f"{name}.key"),
        )

    return Certificates(
        member=files(_STORE_CA, "member"),
        store_admin=files(_STORE_CA, "store-admin"),
        apiserver_store=files(_STORE_CA, "apiserver-store"),
        controllers=files(_STORE_CA, "controllers"),
        scheduler=files(_STORE_CA, "scheduler"),
        proxy=files(_STORE_CA, "proxy"),
        hollow=files(_STORE_CA, "hollow"),
        apiserver=files(_API_CA, "apiserver"),
        admin=files(_API_CA, "admin"),
        kubelet_client=files(_API_CA, "kubelet-client"),
        service_account_key=str(key),
        node_agents=tuple(files(_STORE_CA, f"{name}-agent") for name in node_names(nodes)),
        node_servers=tuple(files(_API_CA, f"{name}-server") for name in node_names(nodes)),
    )


def _ensure_authority(
    folder: Path, name: str, identities: Sequence[_Identity], now: datetime.datetime
) -> None:
    """Keys are written before their certificates: where the certificate is, all is."""
    certificate_path, key_path = folder / f"{name}.crt", folder / f"{name}.key"
    if not key_path.exists() or not certificate_path.exists():
        for identity in identities:  # of an authority that is gone
            (folder / f"{identity.file}.crt").unlink(missing_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        private_files.write(key_path, _pem(key))
    elif _lasts(certificate_path, now):
        return
    else:
        key = _key(key_path)
    authority = _authority(f"keelson {name}", key, now)
    private_files.write(certificate_path, _encoded(authority))


def _ensure_identities(
    folder: Path, authority: str, identities: Sequence[_Identity], now: datetime.datetime
) -> None:
    for identity in identities:
        path, key_path = folder / f"{identity.file}.crt", folder / f"{identity.file}.key"
        if path.exists() and key_path.exists() and _lasts(path, now) and _names(path, identity):
            continue
        path.unlink(missing_ok=True)  # or a crash would leave it beside a key that is not its own
        issuer, issuer_key = (
            _certificate(folder / f"{authority}.crt"),
            _key(folder / f"{authority}.key"),
        )
        key = ec.generate_private_key(ec.SECP256R1())
        private_files.write(key_path, _pem(key))
        issued = _issued(identity, key.public_key(), issuer, issuer_key, now)
        private_files.write(path, _encoded(issued))


def _lasts(path: Path, now: datetime.datetime) -> bool:
    """Whether it is valid, and for long yet."""
    certificate = _certificate(path)
    ends_at = certificate.not_valid_after_utc - _RENEWED_BEFORE_END
    return certificate.not_valid_before_utc <= now < ends_at


def _names(path: Path, identity: _Identity) -> bool:
    """Whether it is good for all that its owner is called now."""
    if not identity.names:
        return True
    try:
        extension = _certificate(path).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return False
    return set(map(_general_name, identity.names)) <= set(extension.value)


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise UnreadableError(
            f"{path} is no certificate: delete it, and `cluster up` makes a new one"
        ) from None


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UnreadableError(
            f"{path} is no key of an authority of ours: delete it, and `cluster up` makes a new "
            "authority with all its certificates"
        )
    return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(
    common_name: str, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    return (
        _builder(name, name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _issued(
    identity: _Identity,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
) -> x509.Certificate:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, identity.common_name)]
    if identity.organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.organization))
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH] if identity.is_client else []
    if identity.names:
        uses.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
    # Python 3.13's default verification wants the identifiers of both keys.
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        _builder(x509.Name(parts), issuer.subject, key, now)
        .add_extension(authority, critical=False)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    )
    if identity.names:
        names = x509.SubjectAlternativeName([_general_name(one) for one in identity.names])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _encoded(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
