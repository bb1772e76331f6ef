"""kube-behaviour 5.5 and 5.1: what services and their slices are answered as."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.types.core_v1 import Service
from controlplane.api.types.discovery_v1 import EndpointSlice
from controlplane.indexer import Key
from controlplane.network.dns import messages
from controlplane.network.dns.messages import (
    AAAA,
    ANY,
    CNAME,
    NOERROR,
    NXDOMAIN,
    PTR,
    SOA,
    SRV,
    TXT,
    A,
    Answer,
    Record,
    Srv,
    name_of,
    text_of,
)
from controlplane.network.dns.records import records_of, service_name
from controlplane.network.dns.zone import ALIASES_MAX, Zone, leads_out
from tests.controlplane.network.objects import (
    ENDING,
    HTTP,
    NOT_READY,
    endpoint,
    service,
    slice_of,
)


def _put(zone: Zone, found: Service, slices: Iterable[EndpointSlice] = ()) -> None:
    key = Key(found.metadata.namespace, found.metadata.name)
    zone.put(key, service_name(found, zone.name), records_of(found, list(slices), zone.name))


def _zone(found: Service, *slices: EndpointSlice) -> Zone:
    zone = Zone("cluster.local")
    _put(zone, found, slices)
    return zone


def _find(zone: Zone, name: str, kind: int = A) -> Answer:
    answer = zone.find(name_of(name), kind)
    assert answer is not None, f"{name} is not ours"
    return answer


def _said(records: Iterable[Record]) -> set[str]:
    """Records as a zone file has them, without ttl."""
    return {f"{text_of(one.name)} {_data(one)}" for one in records}


def _data(one: Record) -> str:
    match one.data:
        case bytes():
            return ".".join(map(str, one.data))
        case Srv():
            return f"{one.data.priority} {one.data.weight} {one.data.port} " + text_of(
                one.data.target
            )
        case messages.Soa():
            return "soa"
        case _:
            return text_of(one.data)


WEB = "web.default.svc.cluster.local"


def test_service_has_its_address_and_nothing_of_its_endpoints() -> None:
    """5.5: A."""
    zone = _zone(service(), slice_of(endpoint("10.0.0.1")))
    assert _said(_find(zone, WEB).answers) == {f"{WEB}. 10.96.0.10"}


def test_name_is_found_whatever_its_case_and_repeated_as_asked() -> None:
    """RFC 4343; and who mixes cases against spoofing compares what comes back."""
    answer = _find(_zone(service()), "wEb.Default.SVC.cluster.LOCAL")
    assert text_of(answer.answers[0].name) == "wEb.Default.SVC.cluster.LOCAL."


def test_type_that_a_name_does_not_have_is_no_data() -> None:
    """5.5: AAAA of a cluster with IPv4 only; a denial tells its own time (RFC 2308)."""
    answer = _find(_zone(service()), WEB, AAAA)
    assert (answer.rcode, list(answer.answers)) == (NOERROR, [])
    assert [one.type for one in answer.authority] == [SOA]
    assert answer.authority[0].ttl == 5


def test_both_families_are_answered() -> None:
    zone = _zone(service(clusterIPs=["10.96.0.10", "fd00::10"]))
    assert [len(_find(zone, WEB, kind).answers) for kind in (A, AAAA)] == [1, 1]


def test_name_that_is_not_there_does_not_exist() -> None:
    """5.5: NXDOMAIN with the SOA."""
    for name in ("other.default.svc", "x.web.default.svc", "web.other.svc", "y"):
        answer = _find(_zone(service()), f"{name}.cluster.local")
        assert (answer.rcode, [one.type for one in answer.authority]) == (NXDOMAIN, [SOA])


@pytest.mark.parametrize("name", ["default.svc.", "svc.", "pod.", ""])
def test_name_above_others_exists_without_data(name: str) -> None:
    """RFC 8020: a resolver may take NXDOMAIN for the end of all names below."""
    answer = _find(_zone(service()), f"{name}cluster.local")
    assert (answer.rcode, len(answer.answers)) == (NOERROR, 0)


def test_named_ports_have_srv() -> None:
    """5.5: SRV `_port._proto`; an unnamed port has none."""
    ports = [HTTP, {"name": "dns", "protocol": "UDP", "port": 53}, {"port": 9}]
    zone = _zone(service(ports=ports))
    http, dns = f"_http._tcp.{WEB}", f"_dns._udp.{WEB}"
    assert _said(_find(zone, http, SRV).answers) == {f"{http}. 0 100 80 {WEB}."}
    assert _said(_find(zone, dns, SRV).answers) == {f"{dns}. 0 100 53 {WEB}."}
    assert _said(_find(zone, http, SRV).additional) == {f"{WEB}. 10.96.0.10"}
    assert _find(zone, f"_dns._tcp.{WEB}", SRV).rcode == NXDOMAIN


def test_address_of_a_service_has_its_name() -> None:
    """5.5: PTR; of an address that no service has others are asked."""
    zone = _zone(service())
    reverse = "10.0.96.10.in-addr.arpa"
    assert _said(_find(zone, reverse, PTR).answers) == {f"{reverse}. {WEB}."}
    assert zone.find(name_of("11.0.96.10.in-addr.arpa"), PTR) is None


HEADLESS: dict[str, Any] = {"clusterIP": "None"}
SLICE = slice_of(
    endpoint("10.0.0.1", hostname="db-0"),
    endpoint("10.0.0.2"),
    endpoint("10.0.0.3", NOT_READY, hostname="db-2"),
    endpoint("10.0.0.4", ENDING, hostname="db-3"),
)


def test_headless_service_has_an_address_for_each_ready_endpoint() -> None:
    """5.1: DNS A per ready pod."""
    zone = _zone(service(**HEADLESS), SLICE)
    assert _said(_find(zone, WEB).answers) == {f"{WEB}. 10.0.0.1", f"{WEB}. 10.0.0.2"}


def test_headless_service_names_its_pods() -> None:
    """5.5: per-pod, by hostname or else by address; and back."""
    zone = _zone(service(**HEADLESS), SLICE)
    assert _said(_find(zone, f"db-0.{WEB}").answers) == {f"db-0.{WEB}. 10.0.0.1"}
    assert _said(_find(zone, f"10-0-0-2.{WEB}").answers) == {f"10-0-0-2.{WEB}. 10.0.0.2"}
    assert _find(zone, f"db-2.{WEB}").rcode == NXDOMAIN
    reverse = "1.0.0.10.in-addr.arpa"
    assert _said(_find(zone, reverse, PTR).answers) == {f"{reverse}. db-0.{WEB}."}


def test_publish_not_ready_addresses_names_all() -> None:
    """5.1: with publishNotReadyAddresses all."""
    zone = _zone(service(**HEADLESS, publishNotReadyAddresses=True), SLICE)
    assert len(_find(zone, WEB).answers) == 4
    assert _said(_find(zone, f"db-2.{WEB}").answers) == {f"db-2.{WEB}. 10.0.0.3"}


def test_headless_ports_lead_to_each_endpoint() -> None:
    """5.5: the endpoints share the weight, and their port is the pods'."""
    zone = _zone(service(**HEADLESS), SLICE)
    answer = _find(zone, f"_http._tcp.{WEB}", SRV)
    assert _said(answer.answers) == {
        f"_http._tcp.{WEB}. 0 50 8080 db-0.{WEB}.",
        f"_http._tcp.{WEB}. 0 50 8080 10-0-0-2.{WEB}.",
    }
    assert len(answer.additional) == 2


def test_headless_service_without_endpoints_exists() -> None:
    answer = _find(_zone(service(**HEADLESS)), WEB)
    assert (answer.rcode, len(answer.answers)) == (NOERROR, 0)


def test_external_name_is_an_alias_that_leads_out() -> None:
    """5.5: ExternalName CNAME."""
    zone = _zone(service(type="ExternalName", clusterIP="", externalName="db.example.com"))
    for kind in (A, AAAA, CNAME, ANY):
        answer = _find(zone, WEB, kind)
        assert _said(answer.answers) == {f"{WEB}. db.example.com."}
        assert leads_out(answer, zone) == name_of("db.example.com")


def test_alias_of_a_service_is_answered_with_its_address() -> None:
    zone = _zone(service())
    other = f"{WEB}."
    alias = service("alias", type="ExternalName", clusterIP="", externalName=other)
    _put(zone, alias)
    answer = _find(zone, "alias.default.svc.cluster.local")
    assert _said(answer.answers) == {
        f"alias.default.svc.cluster.local. {other}",
        f"{WEB}. 10.96.0.10",
    }
    assert leads_out(answer, zone) is None
    zone.remove(Key("default", "web"))
    assert _find(zone, "alias.default.svc.cluster.local").rcode == NXDOMAIN


def _put_aliases(zone: Zone, **targets: str) -> None:
    for name, target in targets.items():
        _put(zone, service(name, type="ExternalName", clusterIP="", externalName=target))


def _of(name: str) -> str:
    return f"{name}.default.svc.cluster.local"


def test_alias_of_an_alias_is_followed_to_its_end() -> None:
    """5.5: ExternalName CNAME; who asks does not follow one themselves."""
    zone = _zone(service())
    _put_aliases(zone, c=_of("a"), a=_of("b"), b=WEB, out=_of("further"), further="db.example.com")
    answer = _find(zone, _of("c"))
    assert [_data(one) for one in answer.answers] == [
        *(f"{name}." for name in (_of("a"), _of("b"), WEB)),
        "10.96.0.10",
    ]
    assert leads_out(answer, zone) is None
    answer = _find(zone, _of("out"))
    assert [_data(one) for one in answer.answers] == [f"{_of('further')}.", "db.example.com."]
    assert leads_out(answer, zone) == name_of("db.example.com")
    zone.remove(Key("default", "web"))
    assert _find(zone, _of("c")).rcode == NXDOMAIN


@pytest.mark.parametrize("circle", [1, 2, 3])
def test_aliases_in_a_circle_end(circle: int) -> None:
    zone = _zone(service())
    _put_aliases(zone, **{f"a{at}": _of(f"a{(at + 1) % circle}") for at in range(circle)})
    answer = _find(zone, _of("a0"))
    assert (answer.rcode, len(answer.answers)) == (NOERROR, circle)
    assert leads_out(answer, zone) is None


def test_chain_of_aliases_is_bounded() -> None:
    zone = _zone(service())
    _put_aliases(zone, **{f"a{at}": _of(f"a{at + 1}") for at in range(20)})
    assert len(_find(zone, _of("a0")).answers) == ALIASES_MAX


def test_pod_has_a_name_of_its_address() -> None:
    """`a-b-c-d.<ns>.pod.<zone>`"""
    zone = _zone(service())
    name = "10-0-0-7.default.pod.cluster.local"
    assert _said(_find(zone, name).answers) == {f"{name}. 10.0.0.7"}
    assert _find(zone, name, AAAA).rcode == NOERROR
    assert _find(zone, "10-0-0-777.default.pod.cluster.local").rcode == NXDOMAIN
    v6 = _find(zone, "fd00--1.default.pod.cluster.local", AAAA)
    assert v6.answers[0].data == bytes.fromhex("fd00" + "00" * 13 + "01")


def test_version_of_the_schema_is_told() -> None:
    """Of the schema that the names follow, by its own specification."""
    answer = _find(_zone(service()), "dns-version.cluster.local", TXT)
    assert answer.answers[0].data == b"\x051.1.0"


def test_other_names_are_not_ours() -> None:
    zone = _zone(service())
    for name in ("example.com", "notcluster.local", "local", "."):
        assert zone.find(name_of(name), A) is None


def test_times_are_short_where_things_come_and_go() -> None:
    """5 s for endpoints, 30 s for what stays as long as its service."""
    assert _find(_zone(service()), WEB).answers[0].ttl == 30
    assert _find(_zone(service(**HEADLESS), SLICE), WEB).answers[0].ttl == 5


def test_external_name_that_is_none_is_refused() -> None:
    with pytest.raises(messages.BadMessageError):
        _zone(service(type="ExternalName", clusterIP="", externalName="a..b"))


_SERVICES = st.builds(
    lambda name, headless, count: (
        service(name, namespace="n", clusterIP="None" if headless else "10.96.0.1"),
        [slice_of(*(endpoint(f"10.0.0.{number}") for number in range(count)))],
    ),
    st.sampled_from("abc"),
    st.booleans(),
    st.integers(0, 3),
)


@given(st.lists(st.tuples(_SERVICES, st.booleans()), max_size=12))
def test_zone_is_what_its_services_are_whatever_was_before(
    steps: list[tuple[tuple[Service, list[EndpointSlice]], bool]],
) -> None:
    zone, now = Zone("cluster.local"), dict[str, tuple[Service, list[EndpointSlice]]]()
    for (found, slices), is_there in steps:
        name = found.metadata.name
        if is_there:
            now[name] = (found, slices)
            _put(zone, found, slices)
        else:
            now.pop(name, None)
            zone.remove(Key("n", name))
    fresh = Zone("cluster.local")
    for found, slices in now.values():
        _put(fresh, found, slices)
    assert zone._below == fresh._below
    assert set(zone._records) == set(fresh._records)
