"""Certificates decide who is a member, in both directions."""

import random
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from kvstore.server.bootstrap import ClusterSpec, MemberSpec
from kvstore.server.clock import LoopClock
from kvstore.server.config import Settings, TlsFiles, load
from kvstore.server.peer_journal import Fault
from kvstore.server.peers import peers_of
from tests.kvstore.server.certificates import Authority
from tests.kvstore.server.peers.rig import (
    CLUSTER,
    Member,
    call,
    connected,
    read_to_end,
    running,
    until,
    urls_of,
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_members_of_one_authority_talk_over_tls(authority: Authority) -> None:
    urls = urls_of(1, 2, scheme="https")
    one = Member(1, urls, tls=authority.issue("m1"))
    two = Member(2, urls, tls=authority.issue("m2"))
    frames = [random.Random(3).randbytes(size) for size in (1, 70_000, 3_000_000, 10)]
    async with running(one, two):
        await connected((one, 2), (two, 1))
        one.peers.send(2, frames)
        two.peers.send(1, [b"back"])
        assert await two.frames_until(frames[-1]) == frames
        assert await one.frames_until(b"back") == [b"back"]


async def test_a_member_whose_url_is_https_may_come_later(authority: Authority) -> None:
    """None was, when this one started with its certificate."""
    urls = {**urls_of(1), **urls_of(2, scheme="https")}
    files = authority.issue("m1")
    flags = [
        f"--listen-peer-urls={urls[1]}",
        f"--initial-advertise-peer-urls={urls[1]}",
        f"--peer-cert-file={files.cert_file}",
        f"--peer-key-file={files.key_file}",
        f"--peer-trusted-ca-file={files.trusted_ca_file}",
    ]
    settings = load(flags, {})
    assert isinstance(settings, Settings)
    spec = ClusterSpec(CLUSTER, 1, {1: MemberSpec("default", (urls[1],))})
    one, two = Member(1, urls), Member(2, urls, tls=authority.issue("m2"))
    one.peers = peers_of(settings, spec, LoopClock(), random.Random(1))
    async with running(one, two):
        one.peers.set_peers({2: [urls[2]]})
        await connected((one, 2), (two, 1))
        one.peers.send(2, [b"encrypted"])
        await two.frames_until(b"encrypted")


def _refused_certificates(authority: Authority, folder: Path) -> dict[str, TlsFiles | None]:
    foreign = Authority(folder, "foreign").issue("m1")
    own_ca = str(authority.ca_file)
    return {
        "foreign CA": msgspec.structs.replace(foreign, trusted_ca_file=own_ca),
        "expired": authority.issue("expired", expires_in=timedelta(hours=-1)),
        "wrong name": authority.issue("elsewhere", hosts=("10.9.8.7",), common_name="member"),
        "none": TlsFiles(trusted_ca_file=own_ca, is_client_cert_required=True),
        "other CN": authority.issue("other-cn", common_name="somebody"),
    }


@pytest.mark.parametrize(
    ("which", "kind", "words"),
    [
        ("foreign CA", Fault.TLS, "certificate verify failed"),
        ("expired", Fault.TLS, "certificate verify failed"),
        ("none", Fault.TLS, "peer did not return a certificate"),
        ("wrong name", Fault.CERTIFICATE, "it is not good for 127.0.0.1"),
        ("other CN", Fault.CERTIFICATE, "its common name is 'somebody', not 'member'"),
    ],
)
async def test_caller_with_a_bad_certificate_is_refused(
    authority: Authority,
    tmp_path: Path,
    which: str,
    kind: Fault,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    urls = urls_of(1, 2, scheme="https")
    bad = _refused_certificates(authority, tmp_path)[which]
    # The caller itself listens without TLS: what it shows when it calls is the matter here.
    one = Member(1, {**urls, 1: urls[1].replace("https", "http")}, tls=bad)
    good = authority.issue("m2", common_name="member")
    two = Member(2, urls, tls=msgspec.structs.replace(good, allowed_cn="member"))
    async with running(two, one):
        one.peers.send(2, [b"secret"])
        await until(lambda: two.faults(kind) > 0)
        await until(lambda: one.peers.counters.frames_dropped > 0)
        assert not one.peers.is_connected(2)
    assert two.frames == []
    lines = [
        record.message for record in caplog.records if "refused a connection" in record.message
    ]
    assert len(lines) == 1
    assert words in lines[0]


@pytest.mark.parametrize("which", ["foreign CA", "expired", "wrong name"])
async def test_called_member_with_a_bad_certificate_is_not_trusted(
    authority: Authority, tmp_path: Path, which: str
) -> None:
    urls = urls_of(1, 2, scheme="https")
    one = Member(1, urls, tls=_refused_certificates(authority, tmp_path)[which])
    two = Member(2, urls, tls=authority.issue("m2"))
    async with running(one, two):
        two.peers.send(1, [b"secret"])
        await until(lambda: two.peers.counters.frames_dropped == 1)
        assert two.faults(Fault.UNREACHABLE) > 0
        assert not two.peers.is_connected(1)
    assert one.frames == []


async def test_plain_caller_on_a_tls_port_is_refused(authority: Authority) -> None:
    urls = urls_of(1, 2, scheme="https")
    two = Member(2, urls, tls=authority.issue("m2"))
    async with running(two):
        reader, writer = await call(urls[2])
        await read_to_end(reader)
        await until(lambda: two.faults(Fault.TLS) == 1)
        writer.close()


async def test_names_are_not_compared_when_told_so(authority: Authority) -> None:
    urls = urls_of(1, 2, scheme="https")
    wrong = authority.issue("m1", hosts=("10.9.8.7",))
    lax = msgspec.structs.replace(authority.issue("m2"), is_san_checked=False)
    one, two = Member(1, urls, tls=wrong), Member(2, urls, tls=lax)
    async with running(one, two):
        await connected((one, 2))
        one.peers.send(2, [b"fine"])
        assert await two.frames_until(b"fine") == [b"fine"]
