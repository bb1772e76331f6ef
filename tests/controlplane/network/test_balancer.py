"""kube-behaviour 5.1 (affinity) and 5.6 (equal probability)."""

from collections import Counter
from ipaddress import ip_network
from random import Random

from controlplane.indexer import Key
from controlplane.network import balancer
from controlplane.network.balancer import Affinity, Balancer
from controlplane.network.plan import Backend, Endpoint, Port

PORT = Port(Key("default", "web"), "http", "TCP")
ENDPOINTS = tuple(Endpoint(f"10.0.0.{number}", 8080) for number in range(1, 6))
CHOICES = 10_000
CHI_SQUARE_MAX = 18.467
"""Of 4 degrees of freedom: an honest choice is above it once in a thousand times (the dice are
seeded, so it is always or never).
"""


def _balancer(affinity_seconds: int = 0, affinity: Affinity | None = None) -> Balancer:
    backend = Backend(port=PORT, endpoints=ENDPOINTS, affinity_seconds=affinity_seconds)
    return Balancer(backend, affinity or Affinity(), Random(6))


def _chi_square(counts: Counter[Endpoint | None]) -> float:
    expected = counts.total() / len(ENDPOINTS)
    return sum((counts[one] - expected) ** 2 / expected for one in ENDPOINTS)


def test_each_endpoint_is_chosen_with_the_same_probability() -> None:
    """5.6, over 10,000 choices."""
    chooser = _balancer()
    counts = Counter(chooser.choose("192.0.2.1", 0.0) for _ in range(CHOICES))
    assert set(counts) == set(ENDPOINTS)
    assert _chi_square(counts) < CHI_SQUARE_MAX


def test_chi_square_sees_an_endpoint_with_an_eighth_more() -> None:
    """The test above would fail for a slightly unequal choice."""
    counts: Counter[Endpoint | None] = Counter(dict.fromkeys(ENDPOINTS, CHOICES // 5))
    counts[ENDPOINTS[0]] += CHOICES // 40
    assert _chi_square(counts) > CHI_SQUARE_MAX


def test_who_was_tried_is_not_chosen_again() -> None:
    chooser, tried = _balancer(), list[Endpoint]()
    while (chosen := chooser.choose("192.0.2.1", 0.0, tried)) is not None:
        assert chosen not in tried
        tried.append(chosen)
    assert sorted(tried) == list(ENDPOINTS)


def test_client_stays_until_its_time_without_connections_is_over() -> None:
    """5.1: ClientIP; each connection begins the time anew."""
    chooser = _balancer(affinity_seconds=10_800)
    first = chooser.choose("192.0.2.1", 0.0)
    times = [10_800.0 * step for step in range(1, 30)]
    assert {chooser.choose("192.0.2.1", now) for now in times} == {first}
    later = {chooser.choose("192.0.2.1", times[-1] + 10_801.0 * step) for step in range(1, 30)}
    assert len(later) > 1


def test_clients_of_an_affinity_are_spread() -> None:
    chooser = _balancer(affinity_seconds=60)
    counts = Counter(chooser.choose(f"192.0.{n // 250}.{n % 250}", 0.0) for n in range(CHOICES))
    assert _chi_square(counts) < CHI_SQUARE_MAX


def test_client_leaves_an_endpoint_that_is_gone_or_does_not_answer() -> None:
    affinity = Affinity()
    chooser = _balancer(60, affinity)
    first = chooser.choose("192.0.2.1", 0.0)
    assert first is not None
    other = chooser.choose("192.0.2.1", 1.0, [first])
    assert other not in (None, first)
    assert chooser.choose("192.0.2.1", 2.0) == other
    kept = tuple(one for one in ENDPOINTS if one != other)
    backend = Backend(port=PORT, endpoints=kept, affinity_seconds=60)
    assert Balancer(backend, affinity, Random(6)).choose("192.0.2.1", 3.0) in kept


def test_memory_of_clients_is_bounded() -> None:
    affinity = Affinity()
    for number in range(balancer.CLIENTS_MAX + 1):
        affinity.note(f"client {number}", ENDPOINTS[0], 0.0)
    assert affinity.last("client 0", 0.0) is None
    assert affinity.last("client 1", 0.0) == ENDPOINTS[0]


def test_source_ranges_let_in_who_is_in_one() -> None:
    ranges = (ip_network("192.0.2.0/24"), ip_network("fd00::/8"))
    backend = Backend(port=PORT, endpoints=ENDPOINTS, source_ranges=ranges)
    chooser = Balancer(backend, Affinity(), Random(6))
    let_in = [chooser.is_let_in(one) for one in ("192.0.2.9", "fd00::1", "192.0.3.1", "2001:db8::")]
    assert let_in == [True, True, False, False]
    assert _balancer().is_let_in("192.0.3.1")
