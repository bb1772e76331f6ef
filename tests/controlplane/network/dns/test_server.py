"""The DNS server by UDP and TCP: asked by raw sockets, by dig, and by the C library."""

import asyncio
import contextlib
import os
import random
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.api.resolv_conf import resolv_conf
from controlplane.indexer import Key
from controlplane.network.dns import forwarder as forwarding
from controlplane.network.dns.forwarder import Forwarder
from controlplane.network.dns.messages import (
    CNAME,
    FORMERR,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    A,
    Query,
    name_of,
    read_answers,
)
from controlplane.network.plan import Place
from controlplane.network.sockets import bound
from tests.controlplane.network.conftest import free_place, soon
from tests.controlplane.network.dns.conftest import Dns, Upstream, as_asked
from tests.controlplane.network.objects import service

WEB = Query(id=7, name=name_of("web.default.svc.cluster.local"), type=A)
DB = Query(id=8, name=name_of("db.default.svc.cluster.local"), type=A)
OUT = Query(id=9, name=name_of("out.default.svc.cluster.local"), type=A)
OTHER = Query(id=10, name=name_of("example.com"), type=A)


def _rcode(data: bytes) -> int:
    return data[3] & 15


async def _by_tcp(place: Place, *asked: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection(place.address, place.port)
    for data in asked:
        writer.write(struct.pack(">H", len(data)) + data)
    answers = []
    async with asyncio.timeout(10):
        for _ in asked:
            (size,) = struct.unpack(">H", await reader.readexactly(2))
            answers.append(await reader.readexactly(size))
    writer.close()
    return answers


async def test_names_of_the_cluster_are_answered_by_udp_and_tcp(dns: Dns) -> None:
    for data in (await dns.ask(WEB), *await _by_tcp(dns.place, as_asked(WEB), as_asked(WEB))):
        assert data[:2] == b"\0\7"
        assert data[2] & 0x04  # authoritative
        rcode, records = read_answers(data, frozenset((A,)))
        assert (rcode, [one.data for one in records]) == (NOERROR, [bytes((10, 96, 0, 10))])


async def test_long_answer_is_cut_by_udp_and_whole_by_tcp(dns: Dns) -> None:
    cut = await dns.ask(DB)
    assert len(cut) <= 512
    assert cut[2] & 0x02
    (whole,) = await _by_tcp(dns.place, as_asked(DB))
    assert len(read_answers(whole, frozenset((A,)))[1]) == 100


async def test_each_address_comes_first_in_turn(dns: Dns) -> None:
    """Clients take the first one."""
    firsts = set()
    for _ in range(40):
        (whole,) = await _by_tcp(dns.place, as_asked(DB))
        firsts.add(read_answers(whole, frozenset((A,)))[1][0].data)
    assert len(firsts) > 20


async def test_other_names_are_passed_on(dns: Dns, upstream: Upstream) -> None:
    data = await dns.ask(OTHER)
    assert data[:2] == b"\0\x0a"
    rcode, records = read_answers(data, frozenset((A,)))
    assert (rcode, [one.data for one in records]) == (NOERROR, [bytes((192, 0, 2, 1))])
    assert upstream.asked[0][0][2:] == as_asked(OTHER)[2:]
    assert _rcode(await dns.ask(Query(id=1, name=name_of("no.example.com")))) == NXDOMAIN
    (answer,) = await _by_tcp(dns.place, as_asked(OTHER))
    assert _rcode(answer) == NOERROR
    assert [by_tcp for _, by_tcp in upstream.asked] == [False, False, True]


async def test_alias_out_of_the_cluster_is_answered_whole(dns: Dns) -> None:
    """5.5: ExternalName. The C library does not follow an alias that is not led to its end."""
    rcode, records = read_answers(await dns.ask(OUT), frozenset((A, CNAME)))
    assert rcode == NOERROR
    assert [(one.type, one.data) for one in records] == [
        (CNAME, name_of("alias.example.com")),
        (CNAME, name_of("example.com")),
        (A, bytes((192, 0, 2, 1))),
    ]


async def test_alias_that_leads_out_over_another_is_answered_whole(dns: Dns) -> None:
    """5.5: ExternalName."""
    other = "out.default.svc.cluster.local"
    alias = service("over", type="ExternalName", clusterIP="", externalName=other)
    dns.resolver.on_service(Key("default", "over"), alias, [])
    query = Query(id=11, name=name_of("over.default.svc.cluster.local"), type=A)
    rcode, records = read_answers(await dns.ask(query), frozenset((A, CNAME)))
    assert (rcode, [one.type for one in records]) == (NOERROR, [CNAME, CNAME, CNAME, A])


async def test_alias_is_answered_whole_also_where_udp_has_no_room(
    dns: Dns, upstream: Upstream
) -> None:
    upstream.udp_bytes = 40
    rcode, records = read_answers(await dns.ask(OUT), frozenset((A, CNAME)))
    assert (rcode, [one.type for one in records]) == (NOERROR, [CNAME, CNAME, A])
    assert [by_tcp for _, by_tcp in upstream.asked] == [False, True]


async def test_nothing_is_denied_before_all_services_were_told(empty_dns: Dns) -> None:
    """Programs believe that there is no such service, and do not ask again."""
    dns, web = empty_dns, Key("default", "web")
    assert _rcode(await dns.ask(WEB)) == SERVFAIL
    dns.resolver.on_service(web, service(), [])
    assert _rcode(await dns.ask(WEB)) == NOERROR
    assert _rcode(await dns.ask(DB)) == SERVFAIL
    dns.resolver.is_current = True
    assert _rcode(await dns.ask(DB)) == NXDOMAIN


async def test_resolver_that_is_silent_is_told_as_a_failure(
    impatient_dns: Dns, upstream: Upstream
) -> None:
    dns = impatient_dns
    upstream.is_silent = True
    assert _rcode(await dns.ask(OTHER)) == SERVFAIL
    assert len(upstream.asked) == forwarding.TRIES
    assert _rcode(await dns.ask(WEB)) == NOERROR


async def test_lies_are_not_believed(dns: Dns, upstream: Upstream) -> None:
    """Another id, another question, no answer at all: what is true comes after."""
    honest = as_asked(OTHER)
    upstream.lies = [
        b"",
        b"\xff\xff" + honest[2:],
        b"\xff\xfe\x81\x80" + honest[4:],
        honest,
    ]
    rcode, records = read_answers(await dns.ask(OTHER), frozenset((A,)))
    assert (rcode, len(records)) == (NOERROR, 1)


async def test_questions_under_way_are_bounded(
    impatient_dns: Dns, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "IN_FLIGHT_MAX", 2)
    upstream.is_silent = True
    answers = await asyncio.gather(*(impatient_dns.ask(OTHER) for _ in range(6)))
    assert [_rcode(one) for one in answers] == [SERVFAIL] * 6
    assert len(upstream.asked) == 2 * forwarding.TRIES


async def test_without_resolvers_other_names_are_refused() -> None:
    dns = Dns(free_place("UDP"), Forwarder((), random.Random(6)))
    dns.fill()
    await asyncio.sleep(0)
    await soon(lambda: dns.server.is_listening)
    assert _rcode(await dns.ask(OTHER)) == REFUSED
    rcode, records = read_answers(await dns.ask(OUT), frozenset((CNAME,)))
    assert (rcode, len(records)) == (NOERROR, 1)
    await dns.end()


async def test_what_is_not_done_is_told(dns: Dns) -> None:
    asked = as_asked(WEB)
    chaos = asked[:-1] + b"\3"
    transfer = as_asked(Query(id=7, name=name_of("cluster.local"), type=252))
    update = asked[:2] + b"\x29\0" + asked[4:]
    newer = asked[:10] + b"\0\1" + asked[12:] + bytes.fromhex("00 0029 1000 00010000 0000")
    told = [(await dns.ask(one)) for one in (chaos, transfer, update, asked[:14], newer)]
    assert [_rcode(one) for one in told] == [REFUSED, REFUSED, NOTIMP, FORMERR, NOERROR]
    assert told[-1][-6:-2] == bytes.fromhex("01000000")  # BADVERS: 16 by the option's upper bits


async def test_answers_and_scraps_are_not_answered(dns: Dns) -> None:
    """Two servers must not answer each other for ever."""
    for data in (as_asked(WEB)[:2] + b"\x81" + as_asked(WEB)[3:], b"", b"x"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await dns.ask(data)
    assert _rcode(await dns.ask(WEB)) == NOERROR


async def test_place_that_is_taken_is_told_once_and_served_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controlplane.network.sockets.RETRY_SECONDS", 0.01)
    place = free_place("UDP")
    with contextlib.closing(bound(place, socket.SOCK_DGRAM)):
        dns = Dns(place, Forwarder((), random.Random(6)))
        dns.fill()
        await asyncio.sleep(0.05)  # a few tries
        assert not dns.server.is_listening
    await soon(lambda: dns.server.is_listening)
    assert _rcode(await dns.ask(WEB)) == NOERROR
    assert dns.told == [f"{place.address}:{place.port}: another process listens there"]
    await dns.end()


async def test_silent_connections_are_bounded(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controlplane.network.dns.server.CONNECTIONS_MAX", 2)
    held = [await asyncio.open_connection(dns.place.address, dns.place.port) for _ in range(3)]
    assert await held[2][0].read() == b""
    monkeypatch.setattr("controlplane.network.dns.server.CONNECTIONS_MAX", 128)
    for _, writer in held:
        writer.close()
    (answer,) = await _by_tcp(dns.place, as_asked(WEB))
    assert _rcode(answer) == NOERROR


# ------------------------------------------------------------------ independent peers


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode()


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not installed (bind9-dnsutils)")
async def test_dig_understands_every_kind_of_answer(dns: Dns) -> None:
    """An independent reader of messages. What is too long for a datagram it asks for by TCP."""
    server = (f"@{dns.place.address}", "-p", str(dns.place.port), "+tries=1", "+nocmd", "+nostats")
    domain = "default.svc.cluster.local."
    asked = [
        (f"web.{domain}", "A"),
        (f"web.{domain}", "AAAA"),
        (f"_http._tcp.web.{domain}", "SRV"),
        ("-x", "10.96.0.10"),
        ("-x", "10.0.0.7"),
        (f"out.{domain}", "A"),
        ("dns-version.cluster.local", "TXT"),
        (f"db.{domain}", "A"),
        (f"none.{domain}", "A"),
    ]
    out = await _run("dig", *server, *(word for one in asked for word in one))
    lines = [" ".join(line.split()) for line in out.splitlines()]
    records = {line for line in lines if line and line[0] != ";"}
    soa = "ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5"
    many = {line for line in records if line.startswith("db.")}
    assert many == {f"db.{domain} 5 IN A 10.0.0.{number}" for number in range(1, 101)}
    assert records - many == {
        f"web.{domain} 30 IN A 10.96.0.10",
        f"_http._tcp.web.{domain} 30 IN SRV 0 100 80 web.{domain}",
        f"10.0.96.10.in-addr.arpa. 30 IN PTR web.{domain}",
        f"7.0.0.10.in-addr.arpa. 5 IN PTR 10-0-0-7.db.{domain}",
        f"out.{domain} 30 IN CNAME alias.example.com.",
        "alias.example.com. 60 IN CNAME example.com.",
        "example.com. 60 IN A 192.0.2.1",
        'dns-version.cluster.local. 5 IN TXT "1.1.0"',
        f"cluster.local. 5 IN SOA {soa}",
    }
    assert sum("status: NXDOMAIN" in line for line in lines) == 1
    assert not [line for line in lines if "malformed" in line or "unexpected" in line]


@pytest.fixture
async def at_53(upstream: Upstream) -> AsyncIterator[Dns]:
    """Where the C library looks: it knows no other port."""
    place = free_place("UDP")._replace(port=53)
    try:
        bound(place, socket.SOCK_DGRAM).close()
    except OSError as error:
        pytest.skip(f"port 53 cannot be had: {error}")
    forwarder = Forwarder(
        [upstream.place.address], random.Random(6), port=upstream.place.port, try_seconds=10
    )
    found = Dns(place, forwarder)
    found.fill()
    await soon(lambda: found.server.is_listening)
    yield found
    await found.end()


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.skipif(shutil.which("getent") is None, reason="getent is not installed")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
async def test_c_library_finds_short_names_by_a_pods_resolv_conf(at_53: Dns) -> None:
    """5.5: with search domains and ndots, as programs of pods look."""
    text = resolv_conf("ClusterFirst", None, "default", [at_53.place.address], "cluster.local", "")
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "resolv.conf"
        conf.write_text(text)
        script = f"mount --bind {conf} /etc/resolv.conf && exec getent ahostsv4 $0"
        namespace = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")
        mount = f"mount --bind {conf} /etc/resolv.conf && echo ok"
        probe = await _run(*namespace, "sh", "-c", mount)
        if probe != "ok\n":
            pytest.skip(f"no mount namespace can be had: {probe}")

        async def getent(name: str) -> set[str]:
            out = await _run(*namespace, "sh", "-c", script, name)
            return {line.split()[0] for line in out.splitlines()}

        assert await getent("web") == {"10.96.0.10"}
        assert await getent("web.default") == {"10.96.0.10"}
        assert await getent("out.default.svc") == {"192.0.2.1"}
        assert await getent("example.com") == {"192.0.2.1"}
        assert len(await getent("db")) == 100
        assert await getent("none") == set()
