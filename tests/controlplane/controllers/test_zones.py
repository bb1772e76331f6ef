"""How fast nodes are tainted. Numbers are rows of kube-behaviour.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.controllers.zones import Zones, zone_of


def zones(**counts: tuple[int, int]) -> Zones:
    """Of each zone: nodes that are ready, and that are not."""
    made = Zones()
    for zone, (ready, away) in counts.items():
        for number in range(ready + away):
            made.see(f"{zone}-{number}", zone, is_ready=number < ready)
    return made


def test_a_node_in_ten_seconds() -> None:
    """6.3: 0.1 node/s, in each zone."""
    found = zones(a=(9, 2), b=(5, 2))
    assert found.take("a", 100.0) == 0.0
    assert found.take("a", 104.0) == pytest.approx(6.0)
    assert found.take("b", 104.0) == 0.0
    assert found.take("a", 110.0) == 0.0


@pytest.mark.parametrize(
    ("ready", "away", "seconds"),
    [
        (9, 11, None),  # 55 % of a small zone
        (91, 109, 10.0),  # 54.5 %
        (90, 110, 100.0),  # 55 % of a large one
        (22, 28, None),  # of 50
        (22, 29, 100.0),  # of 51
        (1, 2, 10.0),  # two are not many
        (1, 3, None),
    ],
)
def test_a_zone_that_is_partly_away(ready: int, away: int, seconds: float | None) -> None:
    """6.3: >= 55 % and >= 3 bad: 0.01/s, or 0 if <= 50 nodes."""
    found = zones(a=(ready, away), b=(1, 0))
    assert found.take("a", 100.0) == (None if seconds is None else 0.0)
    assert found.take("a", 100.0) == (None if seconds is None else pytest.approx(seconds))


def test_a_zone_that_is_away_as_a_whole() -> None:
    """6.3: at the usual rate, as long as another one is there."""
    found = zones(a=(0, 9), b=(1, 0))
    assert found.take("a", 100.0) == 0.0
    assert found.take("a", 105.0) == pytest.approx(5.0)


def test_when_all_are_away_nothing_is_evicted() -> None:
    """6.3: all zones bad: stop; then go on."""
    found = zones(a=(0, 1), b=(1, 2))
    assert not found.are_all_away
    found.see("b-0", "b", is_ready=False)
    assert found.are_all_away
    assert found.take("a", 100.0) is None
    found.see("a-0", "a", is_ready=True)
    assert not found.are_all_away
    assert not Zones().are_all_away


def test_who_was_not_tainted_costs_nothing() -> None:
    """6.3: a write that failed is tried again at once."""
    found = zones(a=(9, 1))
    assert found.take("a", 100.0) == 0.0
    found.give_back("a")
    assert found.take("a", 101.0) == 0.0


def test_a_node_that_comes_and_goes_speeds_nothing_up() -> None:
    """6.3: not even where it is the only one of its zone."""
    found = zones(a=(0, 1), b=(1, 0))
    assert found.take("a", 100.0) == 0.0
    found.see("a-0", "a", is_ready=True)
    found.see("a-0", "a", is_ready=False)
    assert found.take("a", 101.0) == pytest.approx(9.0)


def test_zones_are_named_by_labels() -> None:
    """6.3."""
    region, zone = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
    assert zone_of({}) == zone_of({"x": "y"})
    assert len({zone_of({zone: "a"}), zone_of({zone: "a", region: "r"}), zone_of({})}) == 3


steps = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.sampled_from((True, False, None)))
)


@given(steps=steps)
def test_counts(steps: list[tuple[int, str, bool | None]]) -> None:
    """6.3: however nodes change, move and go, it is what a count of all would say."""
    found, nodes = Zones(), dict[str, tuple[str, bool]]()
    for number, zone, is_ready in steps:
        if is_ready is None:
            found.forget(str(number))
            nodes.pop(str(number), None)
        else:
            found.see(str(number), zone, is_ready=is_ready)
            nodes[str(number)] = (zone, is_ready)
        assert found.are_all_away == (bool(nodes) and not any(ready for _, ready in nodes.values()))
        fresh = Zones()
        for name, (where, ready) in nodes.items():
            fresh.see(name, where, is_ready=ready)
        for where in "ab":
            assert (found.take(where, 0.0) is None) == (fresh.take(where, 0.0) is None)
            found.give_back(where)
