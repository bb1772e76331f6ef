"""Who can show what to whom."""

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster import certificates
from cluster.network import Network
from cluster.topology import Certificates, TlsFiles

STORE = ("member", "store_admin", "apiserver_store", "controllers", "scheduler", "proxy", "hollow")
API = ("apiserver", "admin", "kubelet_client")


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return certificates.ensure(tmp_path / "certificates")


def addresses_of(files: TlsFiles) -> list[str]:
    extension = loaded(files.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    return [str(one) for one in extension.value.get_values_for_type(x509.IPAddress)]


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
        ["system:kube-scheduler"],
        ["system:kube-proxy"],
        ["system:node:hollow"],
        ["kube-apiserver"],
        ["kubernetes-admin"],
        ["kube-apiserver-kubelet-client"],
    ]
    assert names(loaded(made.admin.certificate), NameOID.ORGANIZATION_NAME) == ["system:masters"]
    assert len({Path(getattr(made, name).key).read_bytes() for name in STORE + API}) == 10


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
    assert addresses_of(made.apiserver) == ["127.0.0.1", "::1", "127.66.0.1"]


def test_each_node_has_an_agent_and_serves_at_its_own_address(tmp_path: Path) -> None:
    made = certificates.ensure(tmp_path, network=Network(68), nodes=2)
    store, api = loaded(made.member.authority), loaded(made.admin.authority)
    for number, (agent, server) in enumerate(
        zip(made.node_agents, made.node_servers, strict=True), start=1
    ):
        for files, authority in ((agent, store), (server, api)):
            certificate = loaded(files.certificate)
            certificate.verify_directly_issued_by(authority)
            assert names(certificate, NameOID.COMMON_NAME) == [f"system:node:n{number}"]
            assert names(certificate, NameOID.ORGANIZATION_NAME) == ["system:nodes"]
        assert addresses_of(server) == [f"127.68.0.{number}"]


def test_who_is_called_otherwise_now_gets_a_new_certificate(tmp_path: Path) -> None:
    """Of a cluster that had other addresses, or none."""
    certificates.ensure(tmp_path)
    before = contents(tmp_path)
    made = certificates.ensure(tmp_path, network=Network(72))
    assert addresses_of(made.apiserver)[-1] == "127.74.0.1"
    after = contents(tmp_path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"apiserver.crt", "apiserver.key"}


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


# ---------------------------------------------------------------------------- renewal

START = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


def after(**time: float) -> datetime.datetime:
    return START + datetime.timedelta(**time)


def test_what_has_less_than_a_year_left_is_renewed(tmp_path: Path) -> None:
    """`cluster up` again is all that it takes."""
    made = certificates.ensure(tmp_path, START)
    before = contents(tmp_path)
    assert certificates.ensure(tmp_path, after(days=3650 - 366)) == made
    assert contents(tmp_path) == before
    late = after(days=3650 - 364)
    certificates.ensure(tmp_path, late)
    for name in STORE + API:
        files: TlsFiles = getattr(made, name)
        for path in (files.certificate, files.authority):
            assert loaded(path).not_valid_after_utc > late + datetime.timedelta(days=3600), path
        assert Path(files.key).read_bytes() != before[Path(files.key).name]
        loaded(files.certificate).verify_directly_issued_by(loaded(files.authority))


def test_who_trusted_an_authority_trusts_what_it_signs_when_it_was_renewed(tmp_path: Path) -> None:
    """The members are started one after the other, and kubeconfigs were copied."""
    made = certificates.ensure(tmp_path, START)
    old = {name: loaded(getattr(made, name).authority) for name in STORE + API}
    earlier = {name: loaded(getattr(made, name).certificate) for name in STORE + API}
    certificates.ensure(tmp_path, after(days=3650 - 1))
    for name in STORE + API:
        files: TlsFiles = getattr(made, name)
        loaded(files.certificate).verify_directly_issued_by(old[name])
        earlier[name].verify_directly_issued_by(loaded(files.authority))


def test_what_a_clock_that_was_ahead_has_made_is_made_anew(tmp_path: Path) -> None:
    """It would be valid one day only, and nobody is let in until then."""
    made = certificates.ensure(tmp_path, after(days=30))
    before = loaded(made.admin.authority).public_key()
    certificates.ensure(tmp_path, START)
    for name in STORE + API:
        files: TlsFiles = getattr(made, name)
        for path in (files.certificate, files.authority):
            assert loaded(path).not_valid_before_utc <= START, path
        loaded(files.certificate).verify_directly_issued_by(loaded(files.authority))
    assert loaded(made.admin.authority).public_key() == before


def test_the_key_of_tokens_stays_when_certificates_are_renewed(tmp_path: Path) -> None:
    """Tokens of pods would be worth nothing otherwise."""
    made = certificates.ensure(tmp_path, START)
    before = Path(made.service_account_key).read_bytes()
    certificates.ensure(tmp_path, after(days=3650))
    assert Path(made.service_account_key).read_bytes() == before


def test_a_certificate_whose_key_is_gone_is_made_again(made: Certificates) -> None:
    """A crash between the two would leave one that its key does not fit."""
    Path(made.admin.key).unlink()
    certificates.ensure(Path(made.admin.key).parent)
    key = serialization.load_pem_private_key(Path(made.admin.key).read_bytes(), None)
    assert loaded(made.admin.certificate).public_key() == key.public_key()


@pytest.mark.parametrize("file", ["admin.crt", "ca.crt", "store-ca.crt"])
def test_what_is_no_certificate_is_told(made: Certificates, file: str) -> None:
    folder = Path(made.admin.key).parent
    (folder / file).write_bytes(b"")
    with pytest.raises(certificates.UnreadableError, match=rf"{file} is no certificate: delete it"):
        certificates.ensure(folder)
    (folder / file).unlink()
    certificates.ensure(folder)
    for name in STORE + API:
        files: TlsFiles = getattr(made, name)
        loaded(files.certificate).verify_directly_issued_by(loaded(files.authority))


def test_what_is_no_key_of_an_authority_is_told(made: Certificates) -> None:
    folder = Path(made.admin.key).parent
    (folder / "ca.key").write_text("no key")
    (folder / "admin.crt").unlink()
    with pytest.raises(certificates.UnreadableError, match=r"ca\.key is no key"):
        certificates.ensure(folder)
