"""What changes when a service does."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.indexer import Key
from controlplane.network.plan import Backend, Endpoint, Place, Port, Wanted
from controlplane.network.table import Difference, Table, difference

PLACE, OTHER = Place("10.96.0.1", 80, "TCP"), Place("10.96.0.2", 80, "TCP")


def _backend(service: str, *addresses: str) -> Backend:
    endpoints = tuple(Endpoint(address, 8080) for address in addresses)
    return Backend(port=Port(Key("default", service), "http", "TCP"), endpoints=endpoints)


def test_difference_opens_changes_and_closes() -> None:
    old, new = _backend("a", "10.0.0.1"), _backend("a", "10.0.0.2")
    third = Place("10.96.0.3", 80, "TCP")
    found = difference({PLACE: old, OTHER: old}, {PLACE: new, third: new})
    assert found == Difference(opened={third: new}, changed={PLACE: new}, closed=[OTHER])


def test_place_without_endpoints_is_closed_so_that_the_kernel_refuses() -> None:
    full, empty = _backend("a", "10.0.0.1"), _backend("a")
    assert difference({PLACE: full}, {PLACE: empty}).closed == [PLACE]
    assert difference({PLACE: empty}, {PLACE: full}).opened == {PLACE: full}
    assert difference({PLACE: empty}, {PLACE: empty}) == Difference({}, {}, [])


def test_what_several_want_the_oldest_has_until_it_goes() -> None:
    table = Table()
    young, old = _backend("young", "10.0.0.1"), _backend("old", "10.0.0.2")
    young_key, old_key = Key("default", "young"), Key("default", "old")
    assert table.put(young_key, "2026-01-02T00:00:00Z", {PLACE: young}).opened == {PLACE: young}
    assert table.put(old_key, "2026-01-01T00:00:00Z", {PLACE: old}).changed == {PLACE: old}
    assert table.holder(PLACE) == old_key
    assert table.put(old_key, "", {}).changed == {PLACE: young}
    assert table.put(young_key, "", {}).closed == [PLACE]
    assert table.holder(PLACE) is None


_PLACES = [Place("10.96.0.1", port, "TCP") for port in range(4)]
_STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.dictionaries(st.sampled_from(_PLACES), st.sampled_from(["", "10.0.0.1", "10.0.0.2"])),
    ),
    max_size=20,
)


@given(_STEPS)
def test_applied_differences_are_what_all_want_together(
    steps: list[tuple[str, dict[Place, str]]],
) -> None:
    """Whatever came before: open is what the oldest of those who want a place want."""
    table, applied = Table(), dict[Place, Backend]()
    wants: dict[str, Wanted] = {}
    for name, told in steps:
        wants[name] = {
            place: _backend(name, *([address] if address else []))
            for place, address in told.items()
        }
        found = table.put(Key("default", name), f"made-{name}", wants[name])
        assert not found.opened.keys() & applied.keys()
        assert found.changed.keys() <= applied.keys()
        for place in found.closed:
            del applied[place]
        applied |= found.opened | found.changed
    expected: dict[Place, Backend] = {}
    for name in sorted(wants, reverse=True):
        expected |= wants[name]
    assert applied == {place: one for place, one in expected.items() if one.endpoints}
