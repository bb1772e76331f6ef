"""Who can show what to whom."""

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster import certificates
from cluster.topology import Certificates, TlsFiles

STORE = ("member", "store_admin", "apiserver_store", "controllers")
API = ("apiserver", "admin")


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return certificates.ensure(tmp_path / "certificates")


def loaded(path: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def names(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(part.value) for part in certificate.subject.get_attributes_for_oid(oid)]


def test_nobody_else_can_read_a_file(made: Certificates, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert made.service_account_key == str(folder / "service-account.key")


def test_each_component_has_an_identity_of_its_own(made: Certificates) -> None:
    found = [loaded(getattr(made, name).certificate) for name in STORE + API]
    commons = [names(certificate, NameOID.COMMON_NAME) for certificate in found]
    assert commons == [
        ["keelson member"],
        ["root"],
        ["system:apiserver"],
        ["system:kube-controller-manager"],
        ["kube-apiserver"],
        ["kubernetes-admin"],
    ]
    assert names(loaded(made.admin.certificate), NameOID.ORGANIZATION_NAME) == ["system:masters"]
    assert len({Path(getattr(made, name).key).read_bytes() for name in STORE + API}) == 6


def test_who_may_ask_the_api_server_is_no_client_of_the_store(made: Certificates) -> None:
    """The store takes whoever its authority has signed as one that may read all keys."""
    store, api = loaded(made.member.authority), loaded(made.admin.authority)
    for name in STORE:
        loaded(getattr(made, name).certificate).verify_directly_issued_by(store)
    for name in API:
        loaded(getattr(made, name).certificate).verify_directly_issued_by(api)
    with pytest.raises(ValueError, match="does not match"):
        loaded(made.admin.certificate).verify_directly_issued_by(store)


def test_only_who_serves_may_serve(made: Certificates) -> None:
    def uses(files: TlsFiles) -> set[x509.ObjectIdentifier]:
        extension = loaded(files.certificate).extensions.get_extension_for_class(
            x509.ExtendedKeyUsage
        )
        return set(extension.value)

    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    assert uses(made.member) == {server, client}
    assert uses(made.apiserver) == {server}
    for files in (made.store_admin, made.apiserver_store, made.controllers, made.admin):
        assert uses(files) == {client}


def test_the_api_server_is_found_under_its_service(made: Certificates) -> None:
    extension = loaded(made.apiserver.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    served = extension.value.get_values_for_type(x509.DNSName)
    assert {"localhost", "kubernetes.default.svc"} <= set(served)
    addresses = [str(one) for one in extension.value.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "::1", "10.96.0.1"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_is_made_once(made: Certificates, tmp_path: Path) -> None:
    before = contents(tmp_path / "certificates")
    assert certificates.ensure(tmp_path / "certificates") == made
    assert contents(tmp_path / "certificates") == before


def test_what_is_missing_is_made_again_and_nothing_else(made: Certificates, tmp_path: Path) -> None:
    before = contents(tmp_path / "certificates")
    Path(made.admin.certificate).unlink()
    certificates.ensure(tmp_path / "certificates")
    after = contents(tmp_path / "certificates")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"admin.crt", "admin.key"}
    loaded(made.admin.certificate).verify_directly_issued_by(loaded(made.admin.authority))


def test_a_folder_without_the_authoritys_key_gets_new_certificates(tmp_path: Path) -> None:
    """Earlier versions kept no key, and had one authority."""
    folder = tmp_path / "certificates"
    made = certificates.ensure(folder)
    Path(made.member.authority).with_suffix(".key").unlink()
    certificates.ensure(folder)
    for name in STORE:
        certificate = loaded(getattr(made, name).certificate)
        certificate.verify_directly_issued_by(loaded(made.member.authority))
