"""Certificates: every fault names its flag, and a name is judged by the alternative names."""

import ssl
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from kvstore.errors import ConfigError
from kvstore.server.config import TlsFiles
from kvstore.server.tls import PeerTls, load_front, load_peers, refusal_of_client
from tests.kvstore.server.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def changed(files: TlsFiles, **fields: str) -> TlsFiles:
    return msgspec.structs.replace(files, **fields)


def test_the_front_asks_for_a_certificate_where_it_must(authority: Authority) -> None:
    assert load_front(authority.issue("m1")).verify_mode is ssl.CERT_REQUIRED


def test_front_without_a_ca_asks_for_no_certificate(authority: Authority) -> None:
    files = changed(authority.issue("m1"), trusted_ca_file="")
    front = load_front(msgspec.structs.replace(files, is_client_cert_required=False))
    assert front.verify_mode is ssl.CERT_NONE


def test_peer_contexts_ask_both_sides_for_a_certificate(authority: Authority) -> None:
    tls = load_peers(authority.issue("m1"))
    assert tls.server is not None
    assert tls.server.verify_mode is tls.client.verify_mode is ssl.CERT_REQUIRED
    assert tls.client.check_hostname
    assert min(tls.server.minimum_version, tls.client.minimum_version) >= ssl.TLSVersion.TLSv1_2


def test_member_without_certificate_can_only_call() -> None:
    tls = load_peers(None)
    assert tls.server is None
    assert tls.client.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("field", ["cert_file", "key_file", "trusted_ca_file"])
def test_missing_file_is_named_with_its_flag(
    authority: Authority, tmp_path: Path, field: str
) -> None:
    files = changed(authority.issue("m1"), **{field: str(tmp_path / "absent.pem")})
    flag = field.replace("_", "-")
    with pytest.raises(ConfigError, match=rf"^--peer-{flag} .*absent\.pem cannot be read: No such"):
        load_peers(files)
    with pytest.raises(ConfigError, match=rf"^--{flag} .*absent\.pem cannot be read: No such"):
        load_front(files)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("cert_file", "--peer-cert-file .* holds no certificate in PEM form"),
        ("key_file", "--peer-key-file .* holds no private key in PEM form"),
        ("trusted_ca_file", "--peer-trusted-ca-file .* holds no certificate in PEM form"),
    ],
)
def test_file_of_nonsense_is_named_with_its_flag(
    authority: Authority, tmp_path: Path, field: str, words: str
) -> None:
    (tmp_path / "nonsense.pem").write_bytes(b"nonsense \xff")
    files = changed(authority.issue("m1"), **{field: str(tmp_path / "nonsense.pem")})
    with pytest.raises(ConfigError, match=words):
        load_peers(files)


def test_unreadable_file_is_named(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_peers(changed(authority.issue("m1"), cert_file=str(tmp_path)))


def test_key_of_another_certificate_is_refused(authority: Authority) -> None:
    other = authority.issue("m2")
    with pytest.raises(ConfigError, match="do not fit together: key values mismatch"):
        load_peers(changed(authority.issue("m1"), key_file=other.key_file))


def certificate(*names: tuple[str, str], common_name: str = "m1") -> dict[str, object]:
    """In the form of `ssl.SSLSocket.getpeercert`."""
    return {"subject": ((("commonName", common_name),),), "subjectAltName": names}


@pytest.fixture
def tls(authority: Authority) -> PeerTls:
    return load_peers(authority.issue("m1"))


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("10.0.0.1", [("IP Address", "10.0.0.1")]),
        ("::1", [("IP Address", "0:0:0:0:0:0:0:1")]),
        ("m1.example", [("DNS", "other.example"), ("DNS", "M1.example")]),
        ("m1.example", [("DNS", "*.example")]),
    ],
)
def test_certificate_good_for_a_peer_url_is_taken(
    tls: PeerTls, host: str, names: list[tuple[str, str]]
) -> None:
    assert refusal_of_client(tls, certificate(*names), ["elsewhere", host]) is None


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("10.0.0.1", []),
        ("10.0.0.1", [("DNS", "10.0.0.1")]),
        ("10.0.0.1", [("IP Address", "10.0.0.2")]),
        ("a.b.example", [("DNS", "*.example")]),
        ("example", [("DNS", "*.example")]),
        ("m1", [("DNS", "m2")]),
    ],
)
def test_certificate_for_other_hosts_is_refused(
    tls: PeerTls, host: str, names: list[tuple[str, str]]
) -> None:
    shown = certificate(*names, common_name=host)
    assert refusal_of_client(tls, shown, [host]) == f"it is not good for {host}"


def test_common_name_must_be_the_one_allowed(tls: PeerTls) -> None:
    strict = msgspec.structs.replace(tls, allowed_cn="member")
    names = ("IP Address", "10.0.0.1")
    assert refusal_of_client(strict, certificate(names, common_name="member"), ["10.0.0.1"]) is None
    refused = refusal_of_client(strict, certificate(names, common_name="client"), ["10.0.0.1"])
    assert refused == "its common name is 'client', not 'member'"


def test_host_name_must_be_the_one_allowed(tls: PeerTls) -> None:
    strict = msgspec.structs.replace(tls, allowed_hostname="members.example")
    ip = ("IP Address", "10.0.0.1")
    shown = certificate(ip, ("DNS", "members.example"))
    assert refusal_of_client(strict, shown, ["10.0.0.1"]) is None
    refused = refusal_of_client(strict, certificate(ip), ["10.0.0.1"])
    assert refused == "it is not good for members.example"


def test_names_are_not_compared_when_the_flag_says_so(tls: PeerTls) -> None:
    lax = msgspec.structs.replace(tls, is_san_checked=False)
    assert refusal_of_client(lax, certificate(), ["10.0.0.1"]) is None


def test_expired_certificate_can_be_loaded(authority: Authority) -> None:
    # The others refuse it; the member itself must start, so that its log can be read.
    assert load_peers(authority.issue("old", expires_in=timedelta(days=-1))).server is not None
